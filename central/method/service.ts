import { AdminRole, InfraRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { MethodService } from "#gen/metalstack/api/v2/method_pb.ts";
import { type Token, TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { callerOf } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import { methodName, type Rule } from "../access/rule.ts";
import { memberRoles } from "../identity/membership.ts";
import { rules } from "../rules.ts";
import { type Implementation, implement, services } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** Method names, and what of them a token opens. */
export function methodService(state: State): Implementation {
  const methods = services.flatMap((s) => s.methods.map(methodName)).sort();
  const all = [...rules.values()];
  return implement(MethodService, {
    list: () => ({ methods }),
    tokenScopedList(_request, context) {
      const { rights, token: id, tokenType, user } = callerOf(context);
      const token = state.get(kinds.token, id)?.value.token;
      const roles = tokenType === TokenType.USER ? memberRoles(state, user) : rolesOf(token, rights);
      return {
        permissions: [
          ...(token?.permissions ?? []).map(({ subject, methods }) => ({ subject, methods })),
          { subject: "", methods: all.filter((rule) => opensAnyway(rule, rights)).map((rule) => rule.method) },
        ],
        ...roles,
        machineRoles: token?.machineRoles ?? {},
        ...(rights.adminRole === AdminRole.UNSPECIFIED ? {} : { adminRole: rights.adminRole }),
        ...(rights.infraRole === InfraRole.UNSPECIFIED ? {} : { infraRole: rights.infraRole }),
      };
    },
  });
}

/** Methods that are about nothing in particular: their roles can be told without a subject. */
const opensAnyway = (rule: Rule, rights: Rights): boolean =>
  rule.isPublic ||
  rule.isSelf ||
  rule.adminRoles.includes(rights.adminRole) ||
  rule.infraRoles.includes(rights.infraRole);

/** The token's roles, as far as its owner's still reach. */
function rolesOf(token: Token | undefined, rights: Rights) {
  const kept = <R extends number>(roles: Record<string, R> | undefined, now: (subject: string) => R) =>
    Object.fromEntries(
      Object.keys(roles ?? {})
        .map((subject) => [subject, now(subject)] as const)
        .filter(([, role]) => role !== 0),
    );
  return {
    projectRoles: kept(token?.projectRoles, (project) => rights.projectRole(project)),
    tenantRoles: kept(token?.tenantRoles, (tenant) => rights.tenantRole(tenant)),
  };
}
