// Everybody who may call, and what each holds: as it was given to them, not as the code under test reads it.
import { create, type DescMethod } from "@bufbuild/protobuf";
import { AdminRole, InfraRole, MachineRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { ProjectMemberSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { TenantMemberSchema } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { hourMs } from "#lib/durations.ts";
import { issueAgentToken } from "../../identity/issue.ts";
import { membershipId } from "../../identity/membership.ts";
import { kinds } from "../../store/kinds.ts";
import type { CentralWithMachines } from "../../testing/machines.ts";
import type { TwoTenants } from "../../testing/two-tenants.ts";

/** Roles over one tenant's things. */
export interface Over {
  readonly project?: ProjectRole;
  readonly tenant?: TenantRole;
  readonly machine?: MachineRole;
}

export interface Walker {
  readonly name: string;
  /** The header's value. */
  readonly authorization: string | undefined;
  /** Whether the token is any good. */
  readonly isKnown: boolean;
  readonly ours?: Over;
  readonly theirs?: Over;
  readonly admin?: AdminRole;
  readonly infra?: InfraRole;
  /** The one method that is permitted beside all roles, about all that is ours or about nothing in particular. */
  readonly permitted?: string;
  /** For `permitted`: what its owner may by membership. Infrastructure asks for none. */
  readonly owner?: Pick<Walker, "ours" | "admin">;
}

type Held = Omit<Walker, "name" | "authorization" | "isKnown">;

const bearer = (jwt: string) => `Bearer ${jwt}`;
const longMs = 24 * hourMs;

export async function walkers(central: CentralWithMachines, { ours, theirs }: TwoTenants): Promise<Walker[]> {
  const { state, identity, provider } = central;
  const all: Walker[] = [
    { name: "anonymous", authorization: undefined, isKnown: false },
    { name: "nonsense", authorization: "Bearer nonsense", isKnown: false },
    { name: "no bearer", authorization: "Basic YTpi", isKnown: false },
  ];
  const add = async (name: string, wanted: Omit<Parameters<typeof identity.issue>[0], "lifetimeMs">, held: Held) => {
    const { secret } = await identity.issue({ lifetimeMs: longMs, ...wanted });
    all.push({ name, authorization: bearer(secret.reveal()), isKnown: true, ...held });
  };
  const member = (name: string, put: (user: string) => Promise<unknown>, held: Held) =>
    put(name).then(() => add(name, { user: name, tokenType: TokenType.USER }, held));
  const inTenant = (login: string, role: TenantRole) => (user: string) =>
    state.transact((tx) =>
      tx.put(kinds.tenantMember, membershipId(login, user), create(TenantMemberSchema, { id: user, role })),
    );
  const inProject = (role: ProjectRole) => (user: string) =>
    state.transact((tx) =>
      tx.put(kinds.projectMember, membershipId(ours.project, user), create(ProjectMemberSchema, { id: user, role })),
    );

  for (const [name, ends] of [["revoked", "revoke"] as const, ["expired", "expire"] as const]) {
    const { token, secret } = await identity.issue({ user: "admin", lifetimeMs: 1_000, adminRole: AdminRole.EDITOR });
    if (ends === "revoke") await identity.revoke(token.uuid, "admin");
    all.push({ name, authorization: bearer(secret.reveal()), isKnown: false });
  }
  central.clock.advance(2_000);

  // Whose tokens no membership binds.
  const chief = "chief";
  await inTenant(provider, TenantRole.OWNER)(chief);

  await add("a user without memberships", { user: "nobody", tokenType: TokenType.USER }, {});
  await add("a token without grants", { user: chief }, {});

  for (const [name, tenant] of roles(TenantRole)) {
    // A member of a tenant is what it is there in its projects; a guest is not.
    const project = tenant === TenantRole.GUEST ? {} : { project: ProjectRole[name as keyof typeof ProjectRole] };
    await member(`member of the tenant: ${name}`, inTenant(ours.login, tenant), { ours: { tenant, ...project } });
    const grants = { user: chief, tenantRoles: { [ours.login]: tenant } };
    await add(`token: tenant ${name}`, grants, { ours: { tenant } });
  }
  for (const [name, project] of roles(ProjectRole)) {
    const held = { ours: { project, tenant: TenantRole.GUEST } };
    await member(`member of the project: ${name}`, inProject(project), held);
    const grants = { user: chief, projectRoles: { [ours.project]: project } };
    await add(`token: project ${name}`, grants, { ours: { project } });
  }
  // Members of the provider's tenant hold administrators' roles.
  const administrators = [
    ["OWNER", { admin: AdminRole.EDITOR }],
    ["EDITOR", { admin: AdminRole.VIEWER }],
    ["VIEWER", { admin: AdminRole.VIEWER }],
    ["GUEST", {}],
  ] as const;
  for (const [name, held] of administrators)
    await member(`member of the provider: ${name}`, inTenant(provider, TenantRole[name]), held);

  for (const [name, admin] of roles(AdminRole))
    await add(`token: admin ${name}`, { user: chief, adminRole: admin }, { admin });
  for (const [name, infra] of roles(InfraRole))
    await add(`token: infra ${name}`, { user: "daemon", infraRole: infra }, { infra });
  for (const [name, machine] of roles(MachineRole)) {
    const of = (uuid: string) => ({ user: uuid, machineRoles: { [uuid]: machine } });
    await add(`token: machine ${name}`, of(ours.machine), { ours: { machine } });
    await add(`token: machine ${name} of another`, of(theirs.machine), { theirs: { machine } });
  }

  // Roles for all subjects; and those that the owner does not hold any more, or never held.
  const everywhere = { projectRoles: { "*": ProjectRole.OWNER }, tenantRoles: { "*": TenantRole.OWNER } };
  const over = { project: ProjectRole.OWNER, tenant: TenantRole.OWNER };
  await add("token: all subjects", { user: chief, ...everywhere }, { ours: over, theirs: over });
  await add("token: all subjects, of our owner", { user: ours.owner, ...everywhere }, { ours: over });
  const viewer = { project: ProjectRole.VIEWER, tenant: TenantRole.VIEWER };
  await add("token: all subjects, of our viewer", { user: ours.member, ...everywhere }, { ours: viewer });
  await add("token: more than held", { user: theirs.member, adminRole: 1, ...everywhere }, { theirs: viewer });
  const agent = await issueAgentToken(identity, "lab");
  const authorization = bearer(agent.secret.reveal());
  all.push({ name: "agent of the partition", authorization, isKnown: true, infra: InfraRole.EDITOR });
  return all;
}

/** Those who may call one method each, by that method's name. */
export async function permitted(
  { identity }: CentralWithMachines,
  { ours }: TwoTenants,
  methods: readonly DescMethod[],
): Promise<ReadonlyMap<string, readonly Walker[]>> {
  const owners = [
    {
      user: "admin",
      owner: { ours: { project: ProjectRole.OWNER, tenant: TenantRole.OWNER }, admin: AdminRole.EDITOR },
    },
    { user: ours.member, owner: { ours: { project: ProjectRole.VIEWER, tenant: TenantRole.VIEWER } } },
    { user: "nobody", owner: {} },
  ];
  const byMethod = new Map<string, readonly Walker[]>();
  for (const method of methods) {
    const name = nameOf(method);
    const permissions = [ours.project, ours.login, ours.machine, ""].map((subject) => ({ subject, methods: [name] }));
    const made = owners.map(async ({ user, owner }): Promise<Walker> => {
      const { secret } = await identity.issue({ user, lifetimeMs: longMs, permissions });
      const authorization = bearer(secret.reveal());
      return { name: `${user} permitted ${name}`, authorization, isKnown: true, permitted: name, owner };
    });
    byMethod.set(name, await Promise.all(made));
  }
  return byMethod;
}

/** All of an enum but the one that is none. */
const roles = <R extends number>(of: Readonly<Record<string, R>>): [string, R][] =>
  Object.entries(of).filter(([, role]) => role !== 0);

export const nameOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;
