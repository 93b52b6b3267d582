// A grant is for the thing that was there when it was given. When a project or a tenant is deleted, the grants for it are void,
// and stay void when another one comes to have its name.

import type { StoredToken } from "#gen/holdfast/state/v1/token_pb.ts";
import type { Token } from "#gen/metalstack/api/v2/token_pb.ts";
import { everything } from "../access/rights.ts";
import { rules } from "../rules.ts";
import type { Stored } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

type Reads = Pick<State, "get">;
type Granted = Pick<Token, "projectRoles" | "tenantRoles" | "permissions">;

/** The token's roles and permissions without those that are void. Where none is, they are the stored ones themselves. */
export function liveGrants(state: Reads, stored: Stored<StoredToken>, token: Token): Granted {
  const { projectRoles, tenantRoles, permissions } = token;
  const isProject = (id: string) => wasThere(state, kinds.project, id, stored.revision);
  const isTenant = (id: string) => wasThere(state, kinds.tenant, id, stored.revision);
  return {
    projectRoles: kept(projectRoles, isProject),
    tenantRoles: kept(tenantRoles, isTenant),
    permissions: permissions.every((p) => isLive(p, isProject, isTenant))
      ? permissions
      : permissions.filter((p) => isLive(p, isProject, isTenant)),
  };
}

/** Projects and tenants that the token names. */
export const subjectsOf = ({ projectRoles, tenantRoles, permissions }: Token): string[] => [
  ...new Set(
    [...Object.keys(projectRoles), ...Object.keys(tenantRoles), ...permissions.map((p) => p.subject)].filter(
      (subject) => subject !== "" && subject !== everything,
    ),
  ),
];

/** Whether the token grants nothing at all. One of a user grants what the user's memberships do, and names nothing itself. */
export const isSpent = (token: Token, live: Granted): boolean =>
  subjectsOf(token).length > 0 &&
  Object.keys(live.projectRoles).length + Object.keys(live.tenantRoles).length + live.permissions.length === 0 &&
  Object.keys(token.machineRoles).length === 0 &&
  !token.adminRole &&
  !token.infraRole;

/** Until the token was last changed, no grant can have been for something that came later. */
function wasThere(
  state: Reads,
  kind: typeof kinds.project | typeof kinds.tenant,
  id: string,
  revision: bigint,
): boolean {
  if (id === everything) return true;
  const subject = state.get<typeof kind>(kind, id);
  return subject !== undefined && subject.created <= revision;
}

function kept<R>(roles: Record<string, R>, isThere: (subject: string) => boolean): Record<string, R> {
  const all = Object.keys(roles);
  if (all.every(isThere)) return roles;
  return Object.fromEntries(Object.entries(roles).filter(([subject]) => isThere(subject)));
}

function isLive(
  { subject, methods }: Token["permissions"][number],
  isProject: (id: string) => boolean,
  isTenant: (id: string) => boolean,
): boolean {
  if (subject === "" || isProject(subject) || isTenant(subject)) return true;
  // Machines are known by their hardware: a uuid means the same one for ever.
  return methods.some((method) => (rules.get(method)?.machineRoles.length ?? 0) > 0);
}
