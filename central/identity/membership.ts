import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { newMeta } from "#domain/meta.ts";
import { AdminRole, InfraRole, MachineRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import type { Project } from "#gen/metalstack/api/v2/project_pb.ts";
import { noRights, type Rights, stronger, unboundedRights } from "../access/rights.ts";
import { kinds, type Of } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** Id of a membership. Logins may contain anything, so both parts are escaped. @param of tenant login or project uuid */
export const membershipId = (of: string, member: string): string =>
  `${encodeURIComponent(of)}/${encodeURIComponent(member)}`;

/** Of either kind. */
export function newMembership<K extends typeof kinds.tenantMember | typeof kinds.projectMember>(
  kind: K,
  { id, role }: { readonly id: string; readonly role: Of<K>["role"] },
  nowMs: number,
): Of<K> {
  const fields = { id, role, createdAt: timestampFromMs(nowMs), meta: newMeta(undefined, nowMs) };
  // Both kinds' messages have these fields; the compiler does not join the two.
  return create(kind.schema, fields as unknown as MessageInitShape<K["schema"]>) as Of<K>;
}

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
  // Looked up when it is first asked for: lists ask about many tenants.
  let visited: ReadonlySet<string> | undefined;
  const isGuest = (tenant: string): boolean => {
    visited ??= new Set(projectsOf(state, user).map((project) => project.tenant));
    return visited.has(tenant);
  };
  const tenantRole = (tenant: string): TenantRole =>
    state.get(kinds.tenantMember, membershipId(tenant, user))?.value.role ??
    (isGuest(tenant) ? TenantRole.GUEST : TenantRole.UNSPECIFIED);
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
  const of = <R extends number>(ids: Iterable<string>, role: (id: string) => R) =>
    Object.fromEntries(Array.from(ids, (id) => [id, role(id)] as const).filter(([, r]) => r !== 0));
  const direct = projectsOf(state, user);
  const logins = state.by(memberIndexes(state).tenantsOf, user).map((row) => membershipOf(row.id).of);
  const tenants = new Set([...logins, ...direct.map((project) => project.tenant)].filter((id) => isThere(state, id)));
  const within = logins.flatMap((login) => state.by(memberIndexes(state).projectsIn, login).map((row) => row.id));
  return {
    tenantRoles: of([...tenants].sort(), (login) => rights.tenantRole(login)),
    projectRoles: of([...new Set([...direct.map(({ uuid }) => uuid), ...within])].sort(), (project) =>
      rights.projectRole(project),
    ),
  };
}

const isThere = (state: State, tenant: string): boolean => state.get(kinds.tenant, tenant) !== undefined;

/** Of which a user is a member itself, not by its tenant. */
export const projectsOf = (state: State, user: string): readonly Project[] =>
  state
    .by(memberIndexes(state).projectsOf, user)
    .flatMap((row) => state.get(kinds.project, membershipOf(row.id).of)?.value ?? []);

/** Asked more than once it gives the same indexes. */
const memberIndexes = (state: State) => ({
  tenantsOf: state.index(kinds.tenantMember, "member", (m) => m.id),
  projectsOf: state.index(kinds.projectMember, "member", (m) => m.id),
  projectsIn: state.index(kinds.project, "tenant", (p) => p.tenant),
});
