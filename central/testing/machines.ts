// A central with all that a machine needs around it, and an agent's hand that reports machines.
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { MachineService as HoldfastMachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { PartitionService as HoldfastPartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { AgentLifeSchema } from "#gen/holdfast/state/v1/cursor_pb.ts";
import { type MachineDesired, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type RejectedEntry, SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { FilesystemService as AdminFilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { SizeService as AdminSizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { ProjectRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { Format, GPTType } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageClassification } from "#gen/metalstack/api/v2/image_pb.ts";
import {
  MachineLiveliness,
  MachineService,
  type MachineServiceCreateRequestSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectMemberSchema, ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeConstraintType } from "#gen/metalstack/api/v2/size_pb.ts";
import { BMCService } from "#gen/metalstack/infra/v2/bmc_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { SwitchService as InfraSwitchService } from "#gen/metalstack/infra/v2/switch_pb.ts";
import { silentLog } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { bmcService } from "../bmc/service.ts";
import { bootService } from "../boot/boot-service.ts";
import { eventService } from "../boot/event-service.ts";
import { budgetService } from "../budget/service.ts";
import { issueAgentToken } from "../identity/issue.ts";
import { membershipId } from "../identity/membership.ts";
import { whoCalls } from "../identity/who-calls.ts";
import { listService } from "../list/service.ts";
import { adminMachineService } from "../machine/admin-service.ts";
import { machineService } from "../machine/api-service.ts";
import { holdfastMachineService } from "../machine/holdfast-service.ts";
import { holdfastPartitionService } from "../partition/holdfast-service.ts";
import { implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { Store } from "../store/store.ts";
import { adminSwitchService } from "../switch/admin-service.ts";
import { infraSwitchService } from "../switch/infra-service.ts";
import { CentralSession } from "../sync/central-session.ts";
import { Connections } from "../sync/connections.ts";
import { SyncFeed } from "../sync/feed.ts";
import { syncService } from "../sync/service.ts";
import { takers } from "../sync/take-entry.ts";
import { WatchFeed } from "../watch/feed.ts";
import { watchService } from "../watch/service.ts";
import { type TestCentral, testCentral } from "./central.ts";

/** An ed25519 key of all zeros, whole in its form. */
export const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@home";

/** uuid of the n-th machine. */
export const machineUuid = (n: number): string => `0e6a6e2c-93c4-4a67-9b5f-${String(n).padStart(12, "0")}`;

export type ObservedInit = Omit<MessageInitShape<typeof MachineObservedSchema>, "$typeName">;
export type CreateInit = Omit<MessageInitShape<typeof MachineServiceCreateRequestSchema>, "$typeName">;

export interface MachineCentral extends CentralWithMachines {
  readonly connections: Connections;
}

export interface CentralWithMachines extends TestCentral {
  readonly project: string;
  /** Private network of the project: 10.0.0.0/22 at first. */
  readonly network: string;
  readonly agentToken: string;
  /** Token of an owner of the project who is nothing else. */
  readonly ownerToken: string;
  newProject(name: string): Promise<string>;
  childNetwork(project: string): Promise<string>;
  /** Reports as the agent of the partition; each call has sequences of its own. */
  report(...machines: ObservedInit[]): Promise<readonly RejectedEntry[]>;
  /** Reports machines 1 to n as wiped and waiting, of size "small". */
  waiting(count: number, more?: ObservedInit): Promise<void>;
  /** From then on the agent, of which it is known that it is connected to another central, is connected to none, and that central is gone. */
  cutLink(): Promise<void>;
  /** Asks for a machine as `create` does. */
  wanted(more?: CreateInit): CreateInit;
  /** Creates a machine in the project, size "small", in its private network. */
  create(more?: CreateInit): ReturnType<ReturnType<typeof testClient>["create"]>;
  desired(uuid: string): MachineDesired;
}

const testClient = (central: TestCentral) => central.client(MachineService);

/** @param store the one that the test is run over unless given; that stays open */
export async function machineCentral(store?: Store): Promise<MachineCentral> {
  const connections = new Connections(new VirtualClock(), silentLog);
  const stop = new AbortController();
  const central = await testCentral(
    (given) => {
      const feed = new SyncFeed(given.state, given.clock);
      void feed.run(stop.signal);
      const session = new CentralSession({ ...given, version: "test" });
      const watchFeed = new WatchFeed(given.state);
      void watchFeed.run(stop.signal);
      const ports = {
        ...given,
        connections,
        session,
        feed,
        watchFeed,
        provider: "provider",
        whoCalls: whoCalls(given),
      };
      return [
        budgetService(ports),
        implement(MachineService, machineService(ports)),
        implement(AdminMachineService, adminMachineService(ports)),
        implement(HoldfastMachineService, holdfastMachineService(ports)),
        implement(HoldfastPartitionService, holdfastPartitionService(ports)),
        listService(ports.state),
        watchService(ports),
        implement(AdminSwitchService, adminSwitchService(ports)),
        implement(SyncService, syncService({ ...ports, takers })),
        implement(BootService, bootService(ports)),
        implement(EventService, eventService(ports)),
        implement(InfraSwitchService, infraSwitchService(ports)),
        implement(BMCService, bmcService(ports)),
      ];
    },
    { store },
  );
  return {
    ...(await withMachines(central)),
    connections,
    async close() {
      stop.abort();
      await central.close();
    },
  };
}

/** Gives a central what a machine needs around it, and an agent's hand. */
export async function withMachines(central: TestCentral): Promise<CentralWithMachines> {
  await catalogOf(central);
  await connectElsewhere(central);
  await central.client(AdminTenantService).create({ name: "acme" });
  const newProject = async (name: string) =>
    (await central.client(ProjectService).create({ login: "acme", name, description: "" })).project?.uuid ?? "";
  const childNetwork = async (of: string) =>
    (await central.client(NetworkService).create({ project: of, partition: "lab" })).network?.id ?? "";
  const project = await newProject("first");
  const network = await childNetwork(project);
  const owner = create(ProjectMemberSchema, { id: "ann", role: ProjectRole.OWNER });
  await central.state.transact((tx) => tx.put(kinds.projectMember, membershipId(project, "ann"), owner));
  const ownerToken = await central.tokenFor("ann");
  const agentToken = (await issueAgentToken(central.identity, "lab")).secret.reveal();
  const wanted = (more: CreateInit = {}): CreateInit => ({
    project,
    name: "web",
    image: "debian-13",
    ...(more.uuid === undefined && { partition: "lab", size: "small" }),
    networks: [{ network }],
    ...more,
  });
  let sequence = 0n;
  const report = async (...machines: ObservedInit[]) => {
    const entries = machines.map((m) => {
      const value = toBinary(MachineObservedSchema, create(MachineObservedSchema, m));
      return { sequence: ++sequence, kind: "machine", id: m.uuid ?? "", value };
    });
    const sync = central.client(SyncService, agentToken);
    return (await sync.report({ partition: "lab", outbox: "test", entries })).rejected;
  };
  return {
    ...central,
    project,
    network,
    agentToken,
    ownerToken,
    newProject,
    childNetwork,
    report,
    waiting: async (count, more = {}) => {
      const uuids = Array.from({ length: count }, (_, i) => machineUuid(i + 1));
      await report(...uuids.map((uuid) => ({ uuid })));
      await report(...uuids.map((uuid) => ({ ...aWaiting(uuid), ...more })));
    },
    async cutLink() {
      await central.state.transact((tx) => {
        tx.delete(kinds.agentLife, "lab");
        tx.delete(kinds.centralSession, "elsewhere");
      });
    },
    wanted,
    create: (more) => central.client(MachineService).create(wanted(more)),
    desired: (uuid) => central.state.get(kinds.machineDesired, uuid)?.value as MachineDesired, // a test knows that it is there
  };
}

/** The agent, to another central over the same store. */
async function connectElsewhere({ state }: TestCentral): Promise<void> {
  await state.transact((tx) => {
    tx.put(kinds.centralSession, "elsewhere", create(StringValueSchema, { value: "test" }));
    tx.put(kinds.agentLife, "lab", create(AgentLifeSchema, { agent: "test", stream: "test", session: "elsewhere" }));
  });
}

/** What an agent reports of a machine that central knows already and whose installer waits after its first wipe. */
export const aWaiting = (uuid: string): ObservedInit => ({
  uuid,
  size: "small",
  rack: "rack1",
  waiting: true,
  liveliness: MachineLiveliness.ALIVE,
  epoch: 1n,
  wipedEpoch: 1n,
  isolatedEpoch: 1n,
});

async function catalogOf(central: TestCentral): Promise<void> {
  await central.client(AdminPartitionService).create({ partition: { id: "lab" } });
  const constraints = [{ type: SizeConstraintType.CORES, min: 1n, max: 4n }];
  await central.client(AdminSizeService).create({ size: { id: "small", constraints } });
  const image = { url: "http://images.example/debian", classification: ImageClassification.SUPPORTED };
  for (const id of ["debian-13.0.1", "debian-13.0.2"]) {
    await central.client(AdminImageService).create({ image: { id, ...image } });
  }
  await central.client(AdminFilesystemService).create({ filesystemLayout: aLayout("default", { debian: ">= 13" }) });
  await central.client(AdminNetworkService).create({
    id: "super",
    type: NetworkType.SUPER,
    partition: "lab",
    prefixes: ["10.0.0.0/16"],
    defaultChildPrefixLength: { ipv4: 22 },
  });
}

/** @param images constraints on versions by operating system; the size is always "small" */
export const aLayout = (id: string, images: Record<string, string>) => ({
  id,
  constraints: { sizes: ["small"], images },
  disks: [{ device: "/dev/sda", partitions: [{ number: 1, size: 0n, gptType: GPTType.GPT_TYPE_LINUX }] }],
  filesystems: [{ device: "/dev/sda1", format: Format.EXT4, path: "/", label: "root" }],
});

/** The first n messages of a stream, then the stream is left. */
export async function first<T>(stream: AsyncIterable<T>, count: number): Promise<T[]> {
  const got: T[] = [];
  for await (const message of stream) if (got.push(message) === count) break;
  return got;
}
