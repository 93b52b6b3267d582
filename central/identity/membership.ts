import { AdminRole, InfraRole, MachineRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { noRights, type Rights, stronger, unboundedRights } from "../access/rights.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** Id of a membership. Logins may contain anything, so both parts are escaped. @param of tenant login or project uuid */
export const membershipId = (of: string, member: string): string =>
  `${encodeURIComponent(of)}/${encodeURIComponent(member)}`;

/** @returns tenant login or project uuid, and the member's login */
export function membershipOf(id: string): { readonly of: string; readonly member: string } {
  const [of = "", member = ""] = id.split("/").map(decodeURIComponent);
  return { of, member };
}

/** A member of a tenant is a member of its projects; a guest is not. */
const inherited = new Map<TenantRole, ProjectRole>([
  [TenantRole.OWNER, ProjectRole.OWNER],
  [TenantRole.EDITOR, ProjectRole.EDITOR],
  [TenantRole.VIEWER, ProjectRole.VIEWER],
]);

export const inheritedRole = (role: TenantRole): ProjectRole => inherited.get(role) ?? ProjectRole.UNSPECIFIED;

/** What members of the tenant that runs the installation are. */
const administrators = new Map<TenantRole, AdminRole>([
  [TenantRole.OWNER, AdminRole.EDITOR],
  [TenantRole.EDITOR, AdminRole.VIEWER],
  [TenantRole.VIEWER, AdminRole.VIEWER],
]);

/**
 * What a user may by membership, looked up at the time of asking.
 * @param provider login of the tenant whose members run the installation
 */
export function membershipRights(state: State, provider: string, user: string): Rights {
  if (user === "") return noRights;
  const tenantRole = (tenant: string): TenantRole =>
    state.get(kinds.tenantMember, membershipId(tenant, user))?.value.role ?? TenantRole.UNSPECIFIED;
  return {
    tenantRole,
    projectRole(project) {
      const direct = state.get(kinds.projectMember, membershipId(project, user))?.value.role ?? ProjectRole.UNSPECIFIED;
      const tenant = state.get(kinds.project, project)?.value.tenant;
      return tenant === undefined ? direct : stronger(direct, inheritedRole(tenantRole(tenant)));
    },
    adminRole: administrators.get(tenantRole(provider)) ?? AdminRole.UNSPECIFIED,
    infraRole: InfraRole.UNSPECIFIED,
    machineRole: () => MachineRole.UNSPECIFIED,
    permits: () => false,
  };
}

/** What binds the tokens that a user owns: the memberships, except for those who run the installation. */
export function ownerRights(state: State, provider: string, user: string): Rights {
  const rights = membershipRights(state, provider, user);
  return rights.adminRole === AdminRole.EDITOR ? unboundedRights : rights;
}

/** All roles that a user has by membership, inherited ones included. */
export function memberRoles(state: State, user: string) {
  const rights = membershipRights(state, "", user);
  const of = <R extends number>(ids: readonly string[], role: (id: string) => R) =>
    Object.fromEntries(ids.map((id) => [id, role(id)] as const).filter(([, r]) => r !== 0));
  const logins = state.list(kinds.tenant).map((row) => row.id);
  const projects = state.list(kinds.project).map((row) => row.id);
  return {
    tenantRoles: of(logins, (login) => rights.tenantRole(login)),
    projectRoles: of(projects, (project) => rights.projectRole(project)),
  };
}
