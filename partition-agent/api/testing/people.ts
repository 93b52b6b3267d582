// An agent that central has told of a budget, and members of the project who call it.
import assert from "node:assert/strict";
import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, createRouterTransport, type Interceptor } from "@connectrpc/connect";
import { BudgetSchema, SiteAccessSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type DesiredItem, DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { ProjectRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { FilesystemLayoutSchema, Format } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageClassification, ImageFeature, ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineLiveliness, MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkSchema, NetworkService, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { onSiteOf } from "../../site/testing/on-site.ts";
import { openAgent, uuidA, uuidB } from "../../testing/site.ts";
import { peopleInterceptors, peopleRoutes } from "../router.ts";

export const project = "0e6a6e2c-93c4-4a67-9b5f-00000000aaaa";
export const budgetId = "0e6a6e2c-93c4-4a67-9b5f-00000000bbbb";
export type Agent = Awaited<ReturnType<typeof openAgent>>;

let revision = 0n;
/** As central tells it next. */
export const item = <S extends DescMessage>(kind: string, id: string, schema: S, value: MessageShape<S>) =>
  create(DesiredItemSchema, { kind, id, revision, value: toBinary(schema, value) });

/** Central says something more. */
export const tell = ({ ledger }: Agent, ...items: DesiredItem[]) => ledger.applyDelta(++revision, items);

/** As central tells it: two machines are delegated, with two addresses and two numbers. */
export async function told(agent: Agent): Promise<void> {
  revision++;
  const { ledger, outbox, observations, clock } = agent;
  const machine = (uuid: string) =>
    item(
      "machine",
      uuid,
      MachineDesiredSchema,
      create(MachineDesiredSchema, {
        uuid,
        partition: "p1",
        epoch: 1n,
        delegated: { budget: budgetId, outbox: outbox.id, epochLast: 18n, project },
      }),
    );
  const free = { machines: [uuidA, uuidB], addresses: ["10.0.0.2", "10.0.0.3"], asns: [4_210_000_001, 4_210_000_002] };
  const classification = ImageClassification.SUPPORTED;
  const image = {
    id: "debian-13.0.1",
    url: "http://images/debian.tar.zst",
    classification,
    features: [ImageFeature.MACHINE],
  };
  const constraints = { sizes: ["small"], images: { debian: ">= 13" } };
  const filesystems = [{ device: "/dev/sda1", format: Format.EXT4, path: "/", label: "root" }];
  const home = { id: "net", type: NetworkType.CHILD, project, partition: "p1", prefixes: ["10.0.0.0/24"], vrf: 7 };
  const expires = timestampFromMs(clock.wallMs() + 300 * dayMs);
  const tokens = [
    { uuid: "ann", user: "ann", role: ProjectRole.OWNER, expires },
    { uuid: "vic", user: "vic", role: ProjectRole.VIEWER, expires },
  ];
  const granted = { id: budgetId, partition: "p1", project, size: "small", network: "net", machinesWanted: 2 };
  await ledger.applySnapshot({ history: "h", revision }, [
    item("partition", "p1", PartitionSchema, create(PartitionSchema, { id: "p1" })),
    item("size", "small", SizeSchema, create(SizeSchema, { id: "small" })),
    item("image", image.id, ImageSchema, create(ImageSchema, image)),
    item(
      "filesystem-layout",
      "d",
      FilesystemLayoutSchema,
      create(FilesystemLayoutSchema, { id: "d", constraints, filesystems }),
    ),
    item("network", "net", NetworkSchema, create(NetworkSchema, home)),
    machine(uuidA),
    machine(uuidB),
    item("budget", budgetId, BudgetSchema, create(BudgetSchema, { ...granted, outbox: outbox.id, free })),
    item(
      "site-access",
      `p1/${project}`,
      SiteAccessSchema,
      create(SiteAccessSchema, { partition: "p1", project, tokens }),
    ),
  ]);
  for (const uuid of [uuidA, uuidB])
    await observations.update(uuid, (m) => {
      Object.assign(m, { size: "small", rack: "r1", waiting: true, epoch: 1n, wipedEpoch: 1n, isolatedEpoch: 1n });
      m.liveliness = MachineLiveliness.ALIVE;
    });
}

export function callers(agent: Agent) {
  const { forPeople } = onSiteOf(agent, () => undefined);
  const interceptors = [...peopleInterceptors(forPeople)];
  const as = (token: string) => {
    const authorize: Interceptor = (next) => (request) => {
      request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    const transport = createRouterTransport(peopleRoutes(forPeople), {
      router: { interceptors },
      transport: { interceptors: [authorize] },
    });
    return {
      machines: createClient(MachineService, transport),
      ips: createClient(IPService, transport),
      networks: createClient(NetworkService, transport),
    };
  };
  return { ...forPeople, as };
}

export async function place() {
  const agent = await openAgent();
  await told(agent);
  const served = callers(agent);
  await served.people.heard();
  return { agent, ...served, ann: served.as("ann") };
}

export const wanted = {
  project,
  name: "cut",
  partition: "p1",
  size: "small",
  image: "debian-13",
  networks: [{ network: "net" }],
};

export const refused = (code: Code, text: RegExp) => (e: unknown) => {
  assert.ok(e instanceof ConnectError, String(e));
  assert.deepEqual([Code[e.code], text.test(e.message)], [Code[code], true], e.message);
  return true;
};
