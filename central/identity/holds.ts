// Nobody gives away more than they hold.
import type { AskedPermission } from "#domain/token/permission.ts";
import { AdminRole, InfraRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Caller } from "../access/caller.ts";
import { decide } from "../access/decide.ts";
import { everything, type Grants, unboundedRights, weaker } from "../access/rights.ts";
import { noSubject, type Rule, type Subject } from "../access/rule.ts";

/** @throws Refusal "denied" naming the first thing that the caller does not hold, "invalid" for a method that is none */
export function checkHolds(
  caller: Caller,
  grants: Omit<Grants, "permissions">,
  permissions: readonly AskedPermission[],
  rules: ReadonlyMap<string, Rule>,
): void {
  const { rights } = caller;
  const mayGiveAll = isBoundByMembership(caller);
  const projectRole = (project: string) =>
    project === everything && mayGiveAll ? ProjectRole.OWNER : rights.projectRole(project);
  const tenantRole = (tenant: string) =>
    tenant === everything && mayGiveAll ? TenantRole.OWNER : rights.tenantRole(tenant);
  checkRoles("project", grants.projectRoles, projectRole);
  checkRoles("tenant", grants.tenantRoles, tenantRole);
  checkRoles("machine", grants.machineRoles, (uuid) => rights.machineRole(uuid));
  checkRole("an administrator's role", grants.adminRole ?? AdminRole.UNSPECIFIED, rights.adminRole);
  checkRole("a role for infrastructure", grants.infraRole ?? InfraRole.UNSPECIFIED, rights.infraRole);
  for (const { kind, subject, methods } of permissions) {
    const about: Subject = kind === "other" ? noSubject : { ...noSubject, [kind]: subject };
    for (const method of methods) {
      const rule = rules.get(method);
      if (rule === undefined) throw new Refusal("invalid", `${method} is no method`, { field: "permissions" });
      if (subject === everything && mayGiveAll && isMembersAlone(rule, kind)) continue;
      const decision = decide(rule, caller, about);
      if (!decision.allowed) throw new Refusal("denied", `you do not hold ${method}: ${decision.why}`);
    }
  }
}

/**
 * Who comes with a user's own token holds exactly what the memberships give, and a token of the same user is bound by those
 * whenever it is used: so `*` gives away no more than that. Not for those who run the installation, whom no membership binds.
 */
const isBoundByMembership = ({ tokenType, owner }: Caller): boolean =>
  tokenType === TokenType.USER && owner !== unboundedRights;

/** Whether nothing but a role in a project, or in a tenant, opens the method. */
const isMembersAlone = (rule: Rule, kind: AskedPermission["kind"]): boolean =>
  rule.machineRoles.length === 0 &&
  ((kind === "project" && rule.projectRoles.length > 0) || (kind === "tenant" && rule.tenantRoles.length > 0));

/** The methods must be there, whoever asks. */
export function checkMethods(permissions: readonly AskedPermission[], rules: ReadonlyMap<string, Rule>): void {
  const strange = permissions.flatMap((p) => p.methods).find((method) => !rules.has(method));
  if (strange !== undefined) throw new Refusal("invalid", `${strange} is no method`, { field: "permissions" });
}

function checkRoles<R extends number>(
  noun: string,
  wanted: Readonly<Record<string, R>> | undefined,
  held: (subject: string) => R,
): void {
  for (const [subject, role] of Object.entries(wanted ?? {})) {
    checkRole(`that role in ${noun} ${subject}`, role, held(subject));
  }
}

function checkRole<R extends number>(what: string, wanted: R, held: R): void {
  if (wanted !== 0 && weaker(wanted, held) !== wanted) {
    throw new Refusal("denied", `you do not hold ${what}, and so cannot give it away`, { reason: "MORE_THAN_HELD" });
  }
}
