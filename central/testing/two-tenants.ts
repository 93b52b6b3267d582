// Two tenants that have the same things: what one of them must not see or change is the other's.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { QuotaService } from "#gen/holdfast/api/v1/quota_pb.ts";
import { SizeReservationService as AdminSizeReservationService } from "#gen/metalstack/admin/v2/size_reservation_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { AuditPhase, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { ComponentType } from "#gen/metalstack/api/v2/component_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { TenantMemberSchema, TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { ComponentService } from "#gen/metalstack/infra/v2/component_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { membershipId } from "../identity/membership.ts";
import { kinds } from "../store/kinds.ts";
import type { CentralWithMachines } from "./machines.ts";

/** All that belongs to one tenant, by the names that the API's fields have for it. */
export interface Side {
  /** Stands in every name and description. */
  readonly word: string;
  readonly login: string;
  readonly project: string;
  readonly network: string;
  readonly ip: string;
  /** In use by the project. */
  readonly machine: string;
  /** A member of tenant and project. */
  readonly member: string;
  readonly tenantSecret: string;
  readonly projectSecret: string;
  readonly reservation: string;
  /** Of the tenant's owner. */
  readonly owner: string;
  readonly token: string;
  readonly trace: string;
}

export interface TwoTenants {
  readonly ours: Side;
  readonly theirs: Side;
  readonly component: string;
  readonly switch: string;
}

/** Makes them. Each has one machine of `waiting`. */
export async function twoTenants(central: CentralWithMachines): Promise<TwoTenants> {
  const { state, clock, random } = central;
  await central.waiting(4);
  const leaf = create(SwitchSchema, { id: "leaf1", partition: "lab", rack: "rack1" });
  await state.transact((tx) => tx.put(kinds.switch, "leaf1", leaf));
  const ping = {
    type: ComponentType.METAL_CORE,
    identifier: "leaf1",
    startedAt: timestampFromMs(clock.wallMs()),
    interval: { seconds: 60n },
  };
  await central.client(ComponentService, await infraToken(central)).ping({ ...ping, version: {} });

  async function side(word: string): Promise<Side> {
    const [login, owner, member] = [`${word}-tenant`, `${word}-owner`, `${word}-member`];
    await central.client(AdminTenantService).create({ name: login, description: word });
    await state.transact((tx) => {
      const role = (id: string, of: TenantRole) =>
        tx.put(kinds.tenantMember, membershipId(login, id), create(TenantMemberSchema, { id, role: of }));
      role(owner, TenantRole.OWNER);
      role(member, TenantRole.VIEWER);
    });
    const issued = await central.identity.issue({
      user: owner,
      description: word,
      lifetimeMs: 100 * dayMs,
      tokenType: TokenType.USER,
    });
    const as = issued.secret.reveal();
    const named = { name: `${word}-name`, description: word };
    const projects = central.client(ProjectService, as);
    const project = (await projects.create({ login, ...named })).project?.uuid ?? "";
    const tenants = central.client(TenantService, as);
    const theNetwork = await central.client(NetworkService, as).create({ project, partition: "lab", ...named });
    const network = theNetwork.network?.id ?? "";
    const { ip } = await central.client(IPService, as).create({ project, network, ...named });
    await projects.addMember({ project, member, role: ProjectRole.VIEWER });
    const { machine } = await central.create({
      project,
      networks: [{ network }],
      ...named,
      userdata: Buffer.from(`${word}-data`).toString("base64"),
    });
    const reserved = { project, size: "small", partitions: ["lab"], amount: 1, ...named };
    await central.client(QuotaService).set({ project, limits: { machines: 100 } });
    const reservation = await central.client(AdminSizeReservationService).create({ sizeReservation: reserved });
    const trace = create(AuditTraceSchema, {
      uuid: random.uuid(),
      timestamp: timestampFromMs(clock.wallMs()),
      user: owner,
      tenant: login,
      method: "/metalstack.api.v2.IPService/Create",
      phase: AuditPhase.REQUEST,
      body: word,
    });
    await state.transact((tx) => tx.put(kinds.audit, `${clock.wallMs()}/${trace.uuid}/${trace.phase}`, trace));
    return {
      word,
      login,
      project,
      network,
      ip: ip?.ip ?? "",
      machine: machine?.uuid ?? "",
      member,
      tenantSecret: (await tenants.invite({ login, role: TenantRole.VIEWER })).invite?.secret ?? "",
      projectSecret: (await projects.invite({ project, role: ProjectRole.VIEWER })).invite?.secret ?? "",
      reservation: reservation.sizeReservation?.id ?? "",
      owner,
      token: issued.token.uuid,
      trace: trace.uuid,
    };
  }
  return {
    ours: await side("ours"),
    theirs: await side("theirs"),
    component: state.list(kinds.component)[0]?.value.uuid ?? "",
    switch: "leaf1",
  };
}

const infraToken = (central: CentralWithMachines) => central.tokenFor("daemon", { infraRole: 1 });
