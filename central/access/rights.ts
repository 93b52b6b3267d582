import { AdminRole, InfraRole, MachineRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import type { MethodPermission } from "#gen/metalstack/api/v2/token_pb.ts";

/** What somebody may, right now. UNSPECIFIED is no role. Subject `*` stands for all subjects. */
export interface Rights {
  projectRole(project: string): ProjectRole;
  tenantRole(tenant: string): TenantRole;
  readonly adminRole: AdminRole;
  readonly infraRole: InfraRole;
  machineRole(uuid: string): MachineRole;
  /** Whether a single method was permitted, beside all roles. @param subject empty for methods that are about nothing in particular */
  permits(method: string, subject: string): boolean;
}

/** The part of a token that grants something. */
export interface Grants {
  readonly projectRoles?: Readonly<Record<string, ProjectRole>>;
  readonly tenantRoles?: Readonly<Record<string, TenantRole>>;
  readonly adminRole?: AdminRole | undefined;
  readonly infraRole?: InfraRole | undefined;
  readonly machineRoles?: Readonly<Record<string, MachineRole>>;
  readonly permissions?: readonly Pick<MethodPermission, "subject" | "methods">[];
}

export const everything = "*";

export function rightsOf(grants: Grants): Rights {
  return {
    projectRole: (project) => lookUp(grants.projectRoles, project),
    tenantRole: (tenant) => lookUp(grants.tenantRoles, tenant),
    adminRole: grants.adminRole ?? AdminRole.UNSPECIFIED,
    infraRole: grants.infraRole ?? InfraRole.UNSPECIFIED,
    machineRole: (uuid) => lookUp(grants.machineRoles, uuid),
    permits: (method, subject) =>
      (grants.permissions ?? []).some(
        (p) => (p.subject === subject || (p.subject === everything && subject !== "")) && p.methods.includes(method),
      ),
  };
}

/** An empty subject is nobody's: not even `*` stands for it. */
function lookUp<R extends number>(roles: Readonly<Record<string, R>> | undefined, subject: string): R {
  const own = roles !== undefined && subject !== "" && Object.hasOwn(roles, subject) ? roles[subject] : undefined;
  const all = roles !== undefined && subject !== "" && Object.hasOwn(roles, everything) ? roles[everything] : undefined;
  return own !== undefined && all !== undefined ? stronger(own, all) : (own ?? all ?? (0 as R));
}

// In every role enum 0 is none, and a lower number is the stronger role.
export const stronger = <R extends number>(a: R, b: R): R => (a === 0 ? b : b === 0 ? a : a < b ? a : b);

export const weaker = <R extends number>(a: R, b: R): R => (a === 0 || b === 0 ? (0 as R) : a > b ? a : b);

/**
 * What a token may: its own grants, but over projects and tenants and as an administrator no more than its owner still may.
 * Roles for daemons and machines are not bound, because they come from nobody's membership.
 */
export const bounded = (token: Rights, owner: Rights): Rights => ({
  projectRole: (project) => weaker(token.projectRole(project), owner.projectRole(project)),
  tenantRole: (tenant) => weaker(token.tenantRole(tenant), owner.tenantRole(tenant)),
  adminRole: weaker(token.adminRole, owner.adminRole),
  infraRole: token.infraRole,
  machineRole: (uuid) => token.machineRole(uuid),
  permits: (method, subject) => token.permits(method, subject),
});

/** The bound of those who run the installation: all of it. */
export const unboundedRights: Rights = {
  projectRole: () => ProjectRole.OWNER,
  tenantRole: () => TenantRole.OWNER,
  adminRole: AdminRole.EDITOR,
  infraRole: InfraRole.EDITOR,
  machineRole: () => MachineRole.EDITOR,
  permits: () => true,
};

export const noRights: Rights = rightsOf({});
