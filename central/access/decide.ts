import type { Caller } from "./caller.ts";
import type { Rights } from "./rights.ts";
import type { Rule, Subject } from "./rule.ts";

export type Decision =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly code: "unauthenticated" | "denied"; readonly why: string };

const allowed: Decision = { allowed: true };

/**
 * May this caller call this method about this subject? Roles of one rule are alternatives: any that the caller has suffices.
 * @param rule undefined: the method has no rule, and nobody may
 * @param caller undefined: without a token
 */
export function decide(rule: Rule | undefined, caller: Caller | undefined, subject: Subject): Decision {
  if (rule?.isPublic) return allowed;
  if (caller === undefined) return { allowed: false, code: "unauthenticated", why: "a token is wanted" };
  if (rule === undefined) return { allowed: false, code: "denied", why: "this method is open to nobody" };
  if (rule.isSelf || hasRole(rule, caller.rights, subject)) return allowed;
  if (isPermitted(rule, caller, subject)) return allowed;
  return { allowed: false, code: "denied", why: whyNot(rule, subject) };
}

const hasRole = (rule: Rule, rights: Rights, subject: Subject): boolean =>
  rule.projectRoles.includes(rights.projectRole(subject.project)) ||
  rule.tenantRoles.includes(rights.tenantRole(subject.tenant)) ||
  rule.adminRoles.includes(rights.adminRole) ||
  rule.infraRoles.includes(rights.infraRole) ||
  rule.machineRoles.includes(rights.machineRole(subject.machine));

/** Single methods, permitted beside all roles; where memberships govern, the token's owner must still have a role that would do. */
function isPermitted(rule: Rule, { rights, owner }: Caller, subject: Subject): boolean {
  const { method } = rule;
  const about = (of: string): boolean => of !== "" && rights.permits(method, of);
  if (rule.projectRoles.length > 0 && about(subject.project)) {
    if (rule.projectRoles.includes(owner.projectRole(subject.project))) return true;
  }
  if (rule.tenantRoles.length > 0 && about(subject.tenant)) {
    if (rule.tenantRoles.includes(owner.tenantRole(subject.tenant))) return true;
  }
  if (rule.machineRoles.length > 0 && about(subject.machine)) return true;
  if (!rights.permits(method, "")) return false;
  return rule.infraRoles.length > 0 || rule.adminRoles.includes(owner.adminRole);
}

function whyNot(rule: Rule, subject: Subject): string {
  const wanted = [
    rule.projectRoles.length > 0 ? `a role in project ${quoted(subject.project)}` : [],
    rule.tenantRoles.length > 0 ? `a role in tenant ${quoted(subject.tenant)}` : [],
    rule.machineRoles.length > 0 ? `a role for machine ${quoted(subject.machine)}` : [],
    rule.adminRoles.length > 0 ? "an administrator's role" : [],
    rule.infraRoles.length > 0 ? "a role for infrastructure" : [],
  ].flat();
  return wanted.length === 0 ? "this method is open to nobody" : `${rule.method} wants ${wanted.join(", or ")}`;
}

const quoted = (subject: string): string => (subject === "" ? "(none was named)" : subject.slice(0, 128));
