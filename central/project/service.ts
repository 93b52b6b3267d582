import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { projectMatches } from "#domain/project/query.ts";
import { ProjectService as AdminProjectService } from "#gen/metalstack/admin/v2/project_pb.ts";
import { ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  type Project,
  type ProjectMember,
  ProjectMemberSchema,
  ProjectSchema,
  ProjectService,
} from "#gen/metalstack/api/v2/project_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { budgetHolders } from "../budget/delegated.ts";
import { catalog, usable } from "../catalog/catalog.ts";
import { type Invites, invites } from "../catalog/invites.ts";
import { members } from "../catalog/members.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { inheritedRole, membershipId, membershipOf, newMembership } from "../identity/membership.ts";
import { forgetQuota } from "../quota/keep-quota.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

export function projectServices(ports: ServicePorts): Implementation[] {
  const { clock } = ports;
  const projects = catalog(ports, kinds.project, "project");
  const people = members(ports, {
    of: kinds.project,
    kind: kinds.projectMember,
    noun: "project",
    owner: ProjectRole.OWNER,
    isFixed: memberByTenant,
  });
  const invitations = invites(ports, {
    kind: kinds.projectInvite,
    of: kinds.project,
    noun: "project",
    to: (invite) => invite.project,
    enter: people.enter,
  });

  return [
    implement(ProjectService, {
      list: ({ query }, context) => {
        const { rights } = callerOf(context);
        const isMine = (p: Project) => rights.projectRole(p.uuid) !== ProjectRole.UNSPECIFIED;
        return { projects: projects.list((p) => projectMatches(p, query) && isMine(p)) };
      },
      get: ({ project: uuid }) => {
        const project = projects.get(uuid);
        return { project, projectMembers: allMembers(ports.state, project, people.list(uuid)) };
      },
      async create({ login: tenant, name, description, avatarUrl, labels }, context) {
        const uuid = ports.random.uuid();
        const { user } = callerOf(context);
        const wanted = { uuid, name, description, tenant, ...(avatarUrl === undefined ? {} : { avatarUrl }) };
        const project = await projects
          .by(context)
          .create(uuid, create(ProjectSchema, wanted), labels, (tx, project) => {
            usable(tx, kinds.tenant, tenant, "tenant");
            tx.put(
              kinds.projectMember,
              membershipId(uuid, user),
              newMembership(kinds.projectMember, { id: user, role: ProjectRole.OWNER }, clock.wallMs()),
            );
            keepAnswer(context, tx, { project });
          });
        return { project };
      },
      update: async (request, context) => ({
        project: await projects.by(context).update(request.project, request, (draft) => {
          if (request.name !== undefined) draft.name = request.name;
          if (request.description !== undefined) draft.description = request.description;
          if (request.avatarUrl !== undefined) draft.avatarUrl = request.avatarUrl;
        }),
      }),
      delete: async ({ project: uuid }, context) => ({
        project: await projects.by(context).remove(uuid, held, (tx) => {
          people.forget(tx, uuid);
          invitations.forget(tx, uuid);
          forgetQuota(tx, uuid);
        }),
      }),
      addMember: async ({ project, member, role }, context) => ({
        projectMember: (
          await people
            .by(context)
            .add(project, member, role, (tx, added) => keepAnswer(context, tx, { projectMember: added.role }))
        ).role,
      }),
      updateMember: async ({ project, member, role }, context) => ({
        projectMember: await people.by(context).setRole(project, member, role),
      }),
      removeMember: async ({ project, member }, context) => {
        await people.by(context).remove(project, member);
        return {};
      },
      leave: async ({ project }, context) => {
        await people.by(context).remove(project, callerOf(context).user);
        return {};
      },
      ...inviteHandlers(invitations, projects.get, ports.state),
    }),
    implement(AdminProjectService, {
      list: ({ query }) => ({ projects: projects.list((p) => projectMatches(p, query)) }),
    }),
  ];
}

/** The calls about invitations. */
function inviteHandlers(
  invitations: Invites<typeof kinds.projectInvite>,
  projectOf: (uuid: string) => Project,
  state: State,
): Partial<ServiceImpl<typeof ProjectService>> {
  return {
    async invite({ project: uuid, role }, context) {
      const { name: projectName, tenant } = projectOf(uuid);
      const tenantName = state.get(kinds.tenant, tenant)?.value.name ?? tenant;
      const wanted = { project: uuid, projectName, tenant, tenantName, role };
      return { invite: await invitations.create(wanted, (tx, invite) => keepAnswer(context, tx, { invite })) };
    },
    invitesList: ({ project }) => ({ invites: invitations.list(project) }),
    inviteGet: ({ secret }) => ({ invite: invitations.get(secret) }),
    async inviteDelete({ project, secret }) {
      await invitations.remove(project, secret);
      return {};
    },
    async inviteAccept({ secret }, context) {
      const { project } = await invitations.accept(secret, context);
      return { project, projectName: projectOf(project).name };
    },
  };
}

const held = (tx: Tx, { uuid }: Project): string[] => [
  ...tx
    .list(kinds.network)
    .filter((n) => n.value.project === uuid)
    .map((n) => `network ${n.id}`),
  ...tx
    .list(kinds.ip)
    .filter((ip) => ip.value.project === uuid)
    .map((ip) => `address ${ip.value.ip}`),
  ...tx
    .list(kinds.sizeReservation)
    .filter((r) => r.value.project === uuid)
    .map((r) => `size reservation ${r.id}`),
  ...tx
    .list(kinds.machineDesired)
    .filter((m) => m.value.allocation?.project === uuid || m.value.release?.project === uuid)
    .map((m) => `machine ${m.id}`),
  ...budgetHolders(tx, (b) => b.project === uuid),
];

/** Whoever is a member by the project's tenant alone. */
function memberByTenant(tx: Tx, uuid: string, member: string): Refusal | undefined {
  if (tx.get(kinds.projectMember, membershipId(uuid, member))) return undefined;
  const tenant = tx.get(kinds.project, uuid)?.tenant ?? "";
  const role = tx.get(kinds.tenantMember, membershipId(tenant, member))?.role ?? TenantRole.UNSPECIFIED;
  if (inheritedRole(role) === ProjectRole.UNSPECIFIED) return undefined;
  const text = `${member} is a member of project ${uuid} by tenant ${tenant}: change the membership there`;
  return new Refusal("precondition", text, { reason: "INHERITED", field: "member" });
}

/** Direct members, and those of the tenant who are not. */
function allMembers(state: State, project: Project, direct: readonly ProjectMember[]): ProjectMember[] {
  const known = new Set(direct.map((m) => m.id));
  const inherited = state
    .list(kinds.tenantMember)
    .filter((row) => membershipOf(row.id).of === project.tenant && !known.has(row.value.id))
    .map(({ value: { id, role, createdAt } }) =>
      create(ProjectMemberSchema, {
        id,
        role: inheritedRole(role),
        inheritedMembership: true,
        ...(createdAt === undefined ? {} : { createdAt }),
      }),
    );
  return [...direct, ...inherited.filter((m) => m.role !== ProjectRole.UNSPECIFIED)];
}
