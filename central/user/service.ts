import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { callerOf } from "../access/caller.ts";
import { memberRoles } from "../identity/membership.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** The caller as a user. A user's own tenant, when there is one, has the user's login. */
export const userService = (state: State): Implementation =>
  implement(UserService, {
    get(_request, context) {
      const { user: login } = callerOf(context);
      const own = state.get(kinds.tenant, login)?.value;
      const roles = memberRoles(state, login);
      return {
        user: {
          login,
          name: own?.name ?? login,
          email: own?.email ?? "",
          avatarUrl: own?.avatarUrl ?? "",
          tenants: state.list(kinds.tenant, (t) => Object.hasOwn(roles.tenantRoles, t.login)).map((row) => row.value),
          projects: state.list(kinds.project, (p) => Object.hasOwn(roles.projectRoles, p.uuid)).map((row) => row.value),
          ...(own === undefined ? {} : { defaultTenant: own }),
        },
      };
    },
  });
