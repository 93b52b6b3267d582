// Nobody gives away more than they hold.
import type { AskedPermission } from "#domain/token/permission.ts";
import { AdminRole, InfraRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Caller } from "../access/caller.ts";
import { decide } from "../access/decide.ts";
import { type Grants, weaker } from "../access/rights.ts";
import { noSubject, type Rule, type Subject } from "../access/rule.ts";

/** @throws Refusal "denied" naming the first thing that the caller does not hold, "invalid" for a method that is none */
export function checkHolds(
  caller: Caller,
  grants: Omit<Grants, "permissions">,
  permissions: readonly AskedPermission[],
  rules: ReadonlyMap<string, Rule>,
): void {
  const { rights } = caller;
  checkRoles("project", grants.projectRoles, (project) => rights.projectRole(project));
  checkRoles("tenant", grants.tenantRoles, (tenant) => rights.tenantRole(tenant));
  checkRoles("machine", grants.machineRoles, (uuid) => rights.machineRole(uuid));
  checkRole("an administrator's role", grants.adminRole ?? AdminRole.UNSPECIFIED, rights.adminRole);
  checkRole("a role for infrastructure", grants.infraRole ?? InfraRole.UNSPECIFIED, rights.infraRole);
  for (const { kind, subject, methods } of permissions) {
    const about: Subject = kind === "other" ? noSubject : { ...noSubject, [kind]: subject };
    for (const method of methods) {
      const rule = rules.get(method);
      if (rule === undefined) throw new Refusal("invalid", `${method} is no method`, { field: "permissions" });
      const decision = decide(rule, caller, about);
      if (!decision.allowed) throw new Refusal("denied", `you do not hold ${method}: ${decision.why}`);
    }
  }
}

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
