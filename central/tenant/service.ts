import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { page, tenantMatches } from "#domain/tenant/query.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { type Labels, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  type Tenant,
  type TenantMember,
  TenantMemberSchema,
  TenantSchema,
  TenantService,
} from "#gen/metalstack/api/v2/tenant_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { stronger } from "../access/rights.ts";
import { catalog } from "../catalog/catalog.ts";
import { invites } from "../catalog/invites.ts";
import { members } from "../catalog/members.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { isReservedUser } from "../identity/identity.ts";
import { membershipId, membershipOf, newMembership } from "../identity/membership.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

interface Wanted {
  readonly login: string;
  readonly name: string;
  readonly owner: string;
  readonly description?: string | undefined;
  readonly email?: string | undefined;
  readonly avatarUrl?: string | undefined;
}

export function tenantServices(ports: Ports): Implementation[] {
  const shelf = tenantShelf(ports);
  return [userTenants(ports, shelf), adminTenants(shelf)];
}

type Ports = ServicePorts & { readonly provider: string };
type Shelf = ReturnType<typeof tenantShelf>;

function tenantShelf(ports: Ports) {
  const { clock } = ports;
  const tenants = catalog(ports, kinds.tenant, "tenant");
  const people = members(ports, {
    of: kinds.tenant,
    kind: kinds.tenantMember,
    noun: "tenant",
    owner: TenantRole.OWNER,
    isFixed: ownerOfOwn,
  });

  const createTenant = (wanted: Wanted, labels: Labels | undefined, context: HandlerContext) => {
    const { owner, login, name } = wanted;
    if (isReservedUser(login)) throw new Refusal("invalid", `login ${login} is reserved`, { field: "name" });
    const tenant = create(TenantSchema, {
      login,
      name,
      createdBy: owner,
      description: wanted.description ?? "",
      email: wanted.email ?? "",
      avatarUrl: wanted.avatarUrl ?? "",
    });
    return tenants.by(context).create(login, tenant, labels, (tx, tenant) => {
      const member = newMembership(kinds.tenantMember, { id: owner, role: TenantRole.OWNER }, clock.wallMs());
      tx.put(kinds.tenantMember, membershipId(login, owner), member);
      keepAnswer(context, tx, { tenant });
    });
  };

  const invitations = invites(ports, {
    kind: kinds.tenantInvite,
    of: kinds.tenant,
    noun: "tenant",
    to: (invite) => invite.targetTenant,
    enter: people.enter,
  });
  return { tenants, people, invitations, createTenant };
}

function userTenants({ state, random, provider }: Ports, shelf: Shelf): Implementation {
  const { tenants, people, invitations, createTenant } = shelf;
  return implement(TenantService, {
    // The id is drawn, so that nobody can take a login that somebody else is known by.
    create: async (request, context) => ({
      tenant: await createTenant(
        { ...request, login: random.uuid(), owner: callerOf(context).user },
        request.labels,
        context,
      ),
    }),
    list: ({ query }, context) => {
      const { rights } = callerOf(context);
      const mine = (t: Tenant) => rights.tenantRole(t.login) !== TenantRole.UNSPECIFIED && tenantMatches(t, query);
      return { tenants: [...page(tenants.list(mine), query?.paging).entries] };
    },
    get: ({ login }) => ({
      tenant: tenants.get(login),
      tenantMembers: allMembers(state, login, people.list(login)),
    }),
    update: async (request, context) => ({
      tenant: await tenants.by(context).update(request.login, request, (draft) => {
        if (request.name !== undefined) draft.name = request.name;
        if (request.email !== undefined) draft.email = request.email;
        if (request.description !== undefined) draft.description = request.description;
        if (request.avatarUrl !== undefined) draft.avatarUrl = request.avatarUrl;
      }),
    }),
    async delete({ login }, context) {
      if (login === provider) {
        throw new Refusal("precondition", `tenant ${login} runs this installation`, { reason: "PROVIDER" });
      }
      if (isPersonal(tenants.get(login))) {
        const text = `tenant ${login} is the own one of user ${login}: it stays as long as the user`;
        throw new Refusal("precondition", text, { reason: "PERSONAL" });
      }
      const tenant = await tenants.by(context).remove(login, held, (tx) => {
        people.forget(tx, login);
        invitations.forget(tx, login);
      });
      return { tenant };
    },
    async addMember({ login, member, role }, context) {
      const own = callerOf(context).rights.tenantRole(login);
      if (stronger(own, role) !== own) {
        const text = `${member} cannot be given more in tenant ${login} than the caller has there`;
        throw new Refusal("denied", text, { reason: "ROLE_ABOVE_OWN", field: "role" });
      }
      const tenantMember = await people
        .by(context)
        .add(login, member, role, (tx, tenantMember) => keepAnswer(context, tx, { tenantMember }));
      return { tenantMember };
    },
    updateMember: async ({ login, member, role }, context) => ({
      tenantMember: await people.by(context).setRole(login, member, role),
    }),
    removeMember: async ({ login, member }, context) => ({
      tenantMember: await people.by(context).remove(login, member),
    }),
    leave: async ({ login }, context) => {
      await people.by(context).remove(login, callerOf(context).user);
      return {};
    },
    ...inviteHandlers(state, shelf),
  });
}

/** A user's own, made when they came for the first time. */
const isPersonal = ({ login, createdBy }: Tenant): boolean => createdBy === login;

/** Whoever a personal tenant belongs to. */
function ownerOfOwn(tx: Tx, login: string, member: string): Refusal | undefined {
  const tenant = tx.get(kinds.tenant, login);
  if (member !== login || !tenant || !isPersonal(tenant)) return undefined;
  const text = `tenant ${login} is the own one of user ${login}, who stays its owner`;
  return new Refusal("precondition", text, { reason: "PERSONAL", field: "member" });
}

/** The calls about invitations. */
const inviteHandlers = (state: State, { tenants, invitations }: Shelf): Partial<ServiceImpl<typeof TenantService>> => ({
  async invite({ login, role }, context) {
    const { name: targetTenantName } = tenants.get(login);
    const { user } = callerOf(context);
    const mine = state.get(kinds.tenant, user)?.value;
    const from = { tenant: user, tenantName: mine?.name ?? user };
    const wanted = { targetTenant: login, targetTenantName, role, ...from };
    return { invite: await invitations.create(wanted, (tx, invite) => keepAnswer(context, tx, { invite })) };
  },
  invitesList: ({ login }) => ({ invites: invitations.list(login) }),
  inviteGet: ({ secret }) => ({ invite: invitations.get(secret) }),
  async inviteDelete({ login, secret }) {
    await invitations.remove(login, secret);
    return {};
  },
  async inviteAccept({ secret }, context) {
    const { targetTenant } = await invitations.accept(secret, context);
    return { tenant: targetTenant, tenantName: tenants.get(targetTenant).name };
  },
});

/** Members with their projects, and those of its projects who are no members: its guests. */
function allMembers(state: State, tenant: string, direct: readonly TenantMember[]): TenantMember[] {
  const projects = new Map<string, string[]>();
  for (const { id } of state.list(kinds.projectMember)) {
    const { of, member } = membershipOf(id);
    if (state.get(kinds.project, of)?.value.tenant !== tenant) continue;
    projects.set(member, [...(projects.get(member) ?? []), of]);
  }
  const known = new Set(direct.map((m) => m.id));
  const guests = [...projects.keys()].filter((id) => !known.has(id)).sort();
  return [
    ...direct.map((member) => ({ ...member, projects: projects.get(member.id) ?? [] })),
    ...guests.map((id) => create(TenantMemberSchema, { id, role: TenantRole.GUEST, projects: projects.get(id)! })),
  ];
}

const adminTenants = ({ tenants, people, createTenant }: Shelf): Implementation =>
  implement(AdminTenantService, {
    create: async (request, context) => ({
      tenant: await createTenant(
        { ...request, login: request.name, owner: callerOf(context).user },
        request.labels,
        context,
      ),
    }),
    list: ({ query }) => {
      const { entries, next } = page(
        tenants.list((t) => tenantMatches(t, query)),
        query?.paging,
      );
      return { tenants: [...entries], ...(next === undefined ? {} : { nextPage: next }) };
    },
    addMember: async ({ tenant, member, role }, context) => ({
      tenantMember: await people
        .by(context)
        .add(tenant, member, role, (tx, tenantMember) => keepAnswer(context, tx, { tenantMember })),
    }),
    removeMember: async ({ tenant, member }, context) => ({
      tenantMember: await people.by(context).remove(tenant, member),
    }),
  });

const held = (tx: Tx, { login }: Tenant): string[] =>
  tx
    .list(kinds.project)
    .filter((p) => p.value.tenant === login)
    .map((p) => `project ${p.id}`);
