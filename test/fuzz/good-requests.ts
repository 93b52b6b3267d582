// Requests that make sense as they are, for methods that need more than ids: what is spoilt later has to be good first.
import { create, type DescMethod, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { requests } from "#central/access/testing/requests.ts";
import { nameOf } from "#central/access/testing/walkers.ts";
import { kinds } from "#central/store/kinds.ts";
import { firewallImage } from "#central/testing/firewalls.ts";
import {
  aLayout,
  aWaiting,
  type CentralWithMachines,
  machineUuid,
  type ObservedInit,
} from "#central/testing/machines.ts";
import type { Side, TwoTenants } from "#central/testing/two-tenants.ts";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { IPProtocol, MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { SizeConstraintType } from "#gen/metalstack/api/v2/size_pb.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import type { Seeded } from "#lib/seeded.ts";
import { certificateRequest } from "#lib/x509/request.ts";
import { canary, type Texts } from "./texts.ts";

/** Without an agent: its daemons and installers call central. */
export const yard = "yard";
const machines = 20;

export interface Ports {
  readonly central: CentralWithMachines;
  readonly world: TwoTenants;
  readonly random: Seeded;
  readonly texts: Texts;
}

export type GoodRequests = (method: DescMethod, about: { readonly subject: Side; readonly thing: Side }) => Message;

export function goodRequests(ports: Ports): GoodRequests {
  const plain = requests(ports.world);
  const special = new Map(Object.entries(table(ports)));
  const { random, texts } = ports;
  return (method, about) => {
    // What was made meanwhile is built upon as well.
    const { subject } = about;
    const named = random.chance(0.25) ? { ...subject, project: texts.one("project") } : subject;
    const init = special.get(nameOf(method).replace("/metalstack.", ""))?.(named);
    if (init === undefined) return plain(method, { ...about, subject: named });
    // A table is written for its method's own request.
    return create(method.input, init as MessageInitShape<typeof method.input>) as Message;
  };
}

const csr = certificateRequest("anything", keys.newPair(), keys);

function table(ports: Ports): Readonly<Record<string, (side: Side) => object>> {
  const { central, random, texts } = ports;
  const number = () => random.below(40);
  const nowMs = () => central.clock.wallMs();
  const uuid = () => machineUuid(1 + random.below(machines));
  const network = () => ({ network: texts.one("network") });
  const url = "http://images.example/debian";
  return {
    "api.v2.MachineService/Create": ({ project, network: own }) => ({
      project,
      name: `web-${number()}`,
      image: "debian-13",
      partition: "lab",
      size: "small",
      networks: [{ network: own }, ...(random.chance(0.2) ? [network()] : [])],
      userdata: Buffer.from(canary).toString("base64"),
      ...(random.chance(0.3) && firewall(own)),
    }),
    "api.v2.MachineService/Delete": ({ project, machine }) => {
      const own = central.state.list(kinds.machineDesired, (m) => m.allocation?.project === project);
      return { project, uuid: own.length > 0 ? random.pick(own).id : machine };
    },
    "api.v2.NetworkService/Create": ({ project }) => ({ project, partition: "lab", name: `net-${number()}` }),
    "api.v2.IPService/Create": ({ project, network: own }) => ({ project, network: own, name: `ip-${number()}` }),
    "api.v2.TokenService/Create": ({ project, login }) => ({
      description: "for a program",
      expires: { seconds: BigInt(600 + number()) },
      ...random.pick([{ projectRoles: { [project]: 2 } }, { tenantRoles: { [login]: 3 } }, {}]),
    }),
    "admin.v2.TokenService/Create": ({ owner }) => ({ user: owner, tokenCreateRequest: { adminRole: 2 } }),
    "admin.v2.ImageService/Create": () => ({ image: { id: `debian-13.1.${number()}`, url, classification: 2 } }),
    "admin.v2.FilesystemService/Create": () => ({
      filesystemLayout: { ...aLayout(`layout-${number()}`, { [`os${number()}`]: ">= 1" }) },
    }),
    "admin.v2.FilesystemService/Match": () => ({
      match: { case: "sizeAndImage", value: { size: "small", image: "debian-13.0.1" } },
    }),
    "admin.v2.NetworkService/Create": () => ({
      id: `net-${number()}`,
      type: random.pick([NetworkType.EXTERNAL, NetworkType.SUPER, NetworkType.SUPER_NAMESPACED, NetworkType.UNDERLAY]),
      prefixes: [`10.${1 + random.below(200)}.0.0/16`],
      ...random.pick([{}, { partition: "lab" }, { vrf: random.below(9_000) }]),
      ...random.pick([{}, { defaultChildPrefixLength: { ipv4: 22 } }]),
    }),
    "admin.v2.PartitionService/Create": () => ({ partition: { id: `partition-${number()}` } }),
    "admin.v2.SizeService/Create": () => ({
      size: {
        id: `size-${number()}`,
        constraints: [{ type: SizeConstraintType.CORES, min: BigInt(5 + number()), max: BigInt(5 + number()) }],
      },
    }),
    "admin.v2.SizeImageConstraintService/Create": () => ({
      size: "small",
      imageConstraints: [{ image: "debian", semverMatch: ">= 13" }],
    }),
    "/holdfast.api.v1.BudgetService/Grant": ({ project, network: home }) => ({
      ...{ project, network: home, partition: "lab", size: "small" },
      ...{ machines: random.below(3), addresses: 1 + random.below(3) },
      ...{ networks: random.below(3), parentNetwork: "super" },
    }),
    "admin.v2.SizeReservationService/Create": ({ project }) => ({
      sizeReservation: { project, size: "small", partitions: ["lab"], amount: 1, name: `r-${number()}` },
    }),
    "admin.v2.TenantService/Create": () => ({ name: `tenant-${number()}` }),
    "infra.v2.BootService/Dhcp": () => ({ uuid: uuid(), partition: yard }),
    "infra.v2.BootService/Boot": () => ({ mac: `52:54:00:00:00:${10 + random.below(20)}`, partition: yard }),
    "infra.v2.BootService/Register": () => {
      const n = random.below(20);
      const nics = [{ mac: `52:54:00:00:00:${10 + n}`, name: "eth0" }];
      const hardware = { memory: 1n, cpus: [{ model: "any", cores: 2 }], nics };
      return { uuid: machineUuid(100 + n), partition: yard, hardware, bmc: { address: "10.1.0.1:623", user: "root" } };
    },
    "infra.v2.BootService/Wait": () => ({ uuid: machineUuid(100 + random.below(20)) }),
    "infra.v2.BootService/InstallationSucceeded": () => ({
      uuid: machineUuid(100 + random.below(20)),
      consolePassword: canary,
    }),
    "infra.v2.EventService/Send": () => ({
      events: {
        [machineUuid(100 + random.below(20))]: { event: 1 + random.below(10), time: timestampFromMs(nowMs()) },
      },
    }),
    "infra.v2.ComponentService/Ping": () => ({
      type: 1 + random.below(6),
      identifier: `daemon-${number()}`,
      startedAt: timestampFromMs(nowMs()),
      interval: { seconds: 60n },
      version: { version: "1" },
    }),
    "/holdfast.api.v1.QuotaService/Set": ({ project }) => ({
      project,
      limits: random.pick([{}, { machines: random.below(4) }, { ips: number(), networks: random.below(9) }]),
    }),
    "/holdfast.api.v1.PartitionService/CreateJoinToken": () => ({
      partition: "lab",
      endpoint: "https://central.example:8443",
      lifetime: { seconds: 3_600n },
    }),
    "/holdfast.api.v1.HistoryService/Get": ({ machine }) => ({ of: { kind: "machine", id: machine } }),
    "/holdfast.api.v1.HistoryService/List": ({ network: id, project }) => ({ of: { kind: "network", id, project } }),
    "/holdfast.api.v1.HistoryService/Diff": ({ machine: id }) => ({
      of: { kind: "machine", id },
      from: { at: { case: "revision", value: central.state.revision - BigInt(number()) } },
    }),
    "/holdfast.api.v1.PlanService/Plan": (side) => ({ call: random.pick(plans(ports))(side) }),
    "/holdfast.join.v1.JoinService/Enrol": () => ({
      token: texts.one("join-token"),
      secret: Buffer.from(texts.one("join-secret"), "base64url"),
      partition: "lab",
      host: "agent-1",
      certificateRequest: csr,
    }),
    "/holdfast.join.v1.JoinService/Renew": () => ({ host: "agent-1", certificateRequest: csr }),
    "/holdfast.sync.v1.SyncService/Follow": () => ({ partition: "lab", agent: "agent-1", protocol: 1, outbox: "fuzz" }),
    "/holdfast.sync.v1.SyncService/Report": () => {
      const released = central.state.list(
        kinds.machineDesired,
        (m) => m.release !== undefined && m.partition === "lab",
      );
      return report(ports, released.length > 0 && random.chance(0.5) ? random.pick(released).id : uuid());
    },
  };
}

const firewall = (network: string) => ({
  image: firewallImage,
  allocationType: MachineAllocationType.FIREWALL,
  networks: [{ network }, { network: "internet" }],
  firewallSpec: {
    firewallRules: { egress: [{ protocol: IPProtocol.IP_PROTOCOL_TCP, ports: [443], to: ["0.0.0.0/0"] }] },
  },
});

/** One for each call that can be planned. */
const plans = ({ texts, world }: Ports): readonly ((side: Side) => object)[] => [
  ({ project, network }) => ({
    case: "createMachine",
    value: { project, name: "web", image: "debian-13", partition: "lab", size: "small", networks: [{ network }] },
  }),
  ({ project, machine: uuid }) => ({ case: "deleteMachine", value: { project, uuid } }),
  ({ project }) => ({ case: "deleteNetwork", value: { project, id: texts.one("network") } }),
  () => ({ case: "deleteAnyNetwork", value: { id: texts.one("network") } }),
  () => ({ case: "migrateSwitch", value: { oldSwitch: world.switch, newSwitch: world.switch } }),
];

let sequence = 1_000n;

/** A machine that does what is wanted of it, or something else. */
function report({ central: { state }, random }: Ports, uuid: string): object {
  const epoch = state.get(kinds.machineDesired, uuid)?.value.epoch ?? 0n;
  const seen: ObservedInit = {
    ...aWaiting(uuid),
    epoch,
    ...(random.chance(0.7) && { wipedEpoch: epoch, isolatedEpoch: epoch }),
    ...(random.chance(0.3) && { workedEpoch: epoch, installedEpoch: epoch, installations: 1, waiting: false }),
    ...(random.chance(0.2) && { phonedHomeEpoch: epoch }),
  };
  const value = toBinary(MachineObservedSchema, create(MachineObservedSchema, seen));
  sequence += 1n;
  return { partition: "lab", outbox: "fuzz", entries: [{ sequence, kind: "machine", id: uuid, value }] };
}
