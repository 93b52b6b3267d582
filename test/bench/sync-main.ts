// npm run bench:sync: how long a change takes from central's commit to the agents' disks, beside raw etcd watches in the same run. See
// docs/bench.md.
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Etcd3 } from "etcd3";
import { etcdMissing, startEtcd } from "#central/io/testing/etcd-process.ts";
import { kinds } from "#central/store/kinds.ts";
import { MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineAllocationSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { type BenchCentral, startBenchCentral } from "./central.ts";
import { startMemoryWatch } from "./memory.ts";
import { computedMicros, type Growth, nowMs, type Seen, upToDate } from "./protocol.ts";
import { Readers } from "./readers.ts";
import { quantile, row } from "./text.ts";

const usage = `npm run bench:sync -- [flags]     central's sync beside raw etcd watches, in one run

  --agents N,N,…   agents that are connected (1,100,1000)
  --changes N      changes of one partition, and as many of all, for each (100)
  --machines N,N   machines of the partitions whose snapshot is taken (10000,40000)
  --only PARTS     latencies, rejoin, snapshots: some of them, with commas between (all)
  --data FOLDER    where agents and etcd keep their data (the system's folder for temporary files)
`;

const parts = ["latencies", "rejoin", "snapshots"];
const limitMs = 120_000;
const idleMs = 10_000;
/** Changes before those that are timed, of either side: what is not compiled yet takes several times as long. */
const warmUps = 40;
const processes = availableParallelism();

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      agents: { type: "string", default: "1,100,1000" },
      changes: { type: "string", default: "100" },
      machines: { type: "string", default: "10000,40000" },
      only: { type: "string", default: parts.join(",") },
      data: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const missing = etcdMissing();
  if (missing !== undefined) {
    console.log(`skipped: ${missing}`);
    return 0;
  }
  const numbers = (text: string) => text.split(",").map(Number);
  const [agents, machines, changes] = [numbers(values.agents), numbers(values.machines), Number(values.changes)];
  if (![...agents, ...machines, changes].every((n) => Number.isSafeInteger(n) && n > 0)) {
    console.error(`bench:sync: whole numbers above 0 are wanted\n\n${usage}`);
    return 2;
  }
  const only = values.only.split(",");
  const unknown = only.find((part) => !parts.includes(part));
  if (unknown !== undefined) {
    console.error(`bench:sync: --only has ${unknown}, which is none of ${parts.join(", ")}\n\n${usage}`);
    return 2;
  }
  const folder = mkdtempSync(path.join(values.data, "holdfast-bench-"));
  console.log(`${processes} cores; data in ${values.data}, flushed to its disk`);
  const etcd = await startEtcd({ dataDir: path.join(folder, "etcd") });
  const central = await startBenchCentral(etcd.endpoints);
  try {
    await central.put(kinds.size, "shared", create(SizeSchema, { id: "shared" }));
    if (only.includes("latencies"))
      for (const count of agents) await latencies(central, etcd.endpoints[0]!, { count, changes, folder });
    if (only.includes("rejoin")) await rejoin(central, Math.max(...agents), folder);
    if (only.includes("snapshots")) for (const count of machines) await snapshot(central, count, folder);
    return 0;
  } finally {
    await central.stop();
    await etcd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Sizes {
  readonly count: number;
  readonly changes: number;
  readonly folder: string;
}

interface Times {
  readonly came: readonly number[];
  readonly durable: readonly number[];
}

/** Of changes that one reader is told of, and of those that all are. */
interface Peers {
  readonly own: Times;
  readonly all: Times;
}

/** Which of the readers gets a change. */
const pick = (i: number, count: number): number => (i * 7919) % count;

/** One change after the other: how long until who follows it has it, and has it on its disk. */
async function latencies(central: BenchCentral, etcdUrl: string, sizes: Sizes): Promise<void> {
  const { count, changes, folder } = sizes;
  console.log(`\n${count} agents`);
  const raw = await peers(etcdUrl, sizes);
  const disk = await peers(etcdUrl, sizes, path.join(folder, `watchers-${count}`));

  for (let i = 0; i < count; i++) await central.put(kinds.partition, `p${i}`, create(PartitionSchema, { id: `p${i}` }));
  const readers = await agentsOf(central, "p", count, folder);
  await readers.allFollow(limitMs);
  // What their coming has left to do is none of what is measured.
  await delay(2_000);
  let number = 0;
  const changeOwn = async (i: number): Promise<Change> => {
    const id = `p${pick(i, count)}`;
    const beginMs = nowMs();
    await central.put(kinds.partition, id, create(PartitionSchema, { id, description: `${++number}` }));
    return { beginMs, seen: await readers.sightings(`partition/${id}`, 1, limitMs) };
  };
  const changeAll = async (): Promise<Change> => {
    const beginMs = nowMs();
    await central.put(kinds.size, "shared", create(SizeSchema, { id: "shared", description: `${++number}` }));
    return { beginMs, seen: await readers.sightings("size/shared", count, limitMs) };
  };
  await timed(warmUps, changeOwn);
  await timed(warmUps, changeAll);
  const own = await timed(changes, changeOwn);
  const [beganMs, before, agentsBefore] = [nowMs(), computedMicros(), readers.computed];
  const all = await timed(changes, changeAll);
  await delay(100);
  const seconds = (nowMs() - beganMs) / 1000;
  const [ofCentral, ofAgents] = [computedMicros() - before, readers.computed - agentsBefore];
  const idle = await idleCost(readers, count);
  const perChange = (micros: number, idleMicros: number) => (micros / count - idleMicros * seconds) / changes;
  const cost = { central: perChange(ofCentral, idle.central), agents: perChange(ofAgents, idle.agents) };
  await readers.stop();
  show(own, raw.own, disk.own, "own change");
  show(all, raw.all, disk.all, "change of all");
  const text = ({ central, agents }: Cost) => `central ${central.toFixed(0)} µs, the agent ${agents.toFixed(0)} µs`;
  console.log(`  computing for one agent: for a change of all ${text(cost)}; for a second without any ${text(idle)}`);
}

/** Raw etcd: as many watchers. @param folder where each has a disk; absent: they have none */
async function peers(etcdUrl: string, { count, changes }: Sizes, folder?: string): Promise<Peers> {
  const orders = { url: etcdUrl, prefix: `/bench/${count}/`, first: 0, count, ...(folder && { folder }) };
  const watchers = new Readers("sync-watchers-main.ts", orders, processes);
  const etcd = new Etcd3({ hosts: [etcdUrl] });
  let number = 0;
  const put = (key: (i: number) => string, readers: number, times: number) =>
    timed(times, async (i) => {
      const name = `${orders.prefix}${key(pick(i, count))}`;
      const value = `${++number}`;
      const beginMs = nowMs();
      await etcd.put(name).value(value);
      return { beginMs, seen: await watchers.sightings(`${name}@${value}`, readers, limitMs) };
    });
  await watchers.allFollow(limitMs);
  await delay(1_000);
  const [putOwn, putShared] = [(i: number) => `own/${i}`, () => "shared"];
  await put(putOwn, 1, warmUps);
  await put(putShared, count, warmUps);
  const own = await put(putOwn, 1, changes);
  const all = await put(putShared, count, changes);
  etcd.close();
  await watchers.stop();
  return { own, all };
}

/** Microseconds for one agent. */
interface Cost {
  readonly central: number;
  readonly agents: number;
}

/** Of a second in which nothing changes. */
async function idleCost(readers: Readers, count: number): Promise<Cost> {
  const [beganMs, central, agents] = [nowMs(), computedMicros(), readers.computed];
  await delay(idleMs);
  const each = ((nowMs() - beganMs) / 1000) * count;
  return { central: (computedMicros() - central) / each, agents: (readers.computed - agents) / each };
}

/** Received is compared with raw watchers; durable with those and with raw watchers that have a disk each as well. */
function show(ours: Times, raw: Times, disk: Times, what: string): void {
  const figures = (times: readonly number[]) => [quantile(times, 0.5), quantile(times, 0.99)] as const;
  const line = (how: string, mine: readonly number[], theirs: readonly number[]) => {
    const [p50, p99] = figures(mine);
    const [rawP50, rawP99] = figures(theirs);
    console.log(
      row([`${what}, ${how}`, ...[p50, p99, rawP50, rawP99].map((ms) => ms.toFixed(1)), (p99 / rawP99).toFixed(2)]),
    );
  };
  console.log(row(["ms from the commit's begin", "p50", "p99", "peer p50", "peer p99", "p99 / p99"]));
  line("received : raw", ours.came, raw.came);
  line("durable : raw", ours.durable, raw.came);
  line("durable : raw with disk", ours.durable, disk.durable);
}

interface Change {
  readonly beginMs: number;
  readonly seen: readonly Seen[];
}

async function timed(times: number, change: (i: number) => Promise<Change>): Promise<Times> {
  const [came, durable]: [number[], number[]] = [[], []];
  for (let i = 0; i < times; i++) {
    const { beginMs, seen } = await change(i);
    came.push(...seen.map((s) => s.cameMs - beginMs));
    durable.push(...seen.map((s) => s.durableMs - beginMs));
    await delay(20);
  }
  return { came, durable };
}

/** Central goes away and comes back: how long until all follow again, and how well it answers others meanwhile. */
async function rejoin(central: BenchCentral, count: number, folder: string): Promise<void> {
  const readers = await agentsOf(central, "p", count, folder);
  await readers.allFollow(limitMs);
  await central.away();
  await delay(2_000);
  await central.back();
  const beginMs = nowMs();
  const asked: number[] = [];
  const client = createClient(VersionService, createGrpcTransport({ baseUrl: central.url }));
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      const askedMs = nowMs();
      await client.get({});
      asked.push(nowMs() - askedMs);
      await delay(20);
    }
  })();
  while (readers.following > count / 2 && nowMs() - beginMs < 1_000) await delay(10);
  await readers.allFollow(limitMs);
  isOver = true;
  await asking;
  await readers.stop();
  console.log(
    `\nrejoin of ${count} agents: ${((nowMs() - beginMs) / 1000).toFixed(1)} s; meanwhile central answered others in p50 ${quantile(asked, 0.5).toFixed(1)} ms, p99 ${quantile(asked, 0.99).toFixed(1)} ms`,
  );
}

/** A partition's whole state, to an agent that has nothing. */
async function snapshot(central: BenchCentral, machines: number, folder: string): Promise<void> {
  const partition = `full${machines}`;
  await central.put(kinds.partition, `${partition}0`, create(PartitionSchema, { id: `${partition}0` }));
  for (let from = 0; from < machines; from += 100) {
    await central.state.transact((tx) => {
      for (let i = from; i < Math.min(machines, from + 100); i++) {
        const uuid = `00000000-0000-4000-8000-${machines.toString(16).padStart(6, "0")}${i.toString(16).padStart(6, "0")}`;
        tx.put(kinds.machineDesired, uuid, machineOf(uuid, `${partition}0`));
      }
    });
  }
  const memory = startMemoryWatch();
  const readers = await agentsOf(central, partition, 1, folder);
  const beginMs = await central.snapshotOf(`${partition}0`);
  const [end] = await readers.sightings(upToDate, 1, limitMs);
  // The agent tells of it a little later than it was.
  const seconds = (end!.durableMs - beginMs) / 1000;
  await readers.allFollow(limitMs);
  memory.stop();
  const mb = (bytes: number) => (bytes / 1e6).toFixed(0);
  const grown = ({ resident, anonymous }: Growth) => `${mb(resident)} MB (${mb(anonymous)} MB without mapped files)`;
  console.log(
    `\nsnapshot of ${machines} machines: ${seconds.toFixed(2)} s, ${Math.round(machines / seconds)} items/s\n  memory grew at most by ${grown(memory.growth)} at central, by ${grown(readers.growth)} at the agent`,
  );
  await readers.stop();
}

const machineOf = (uuid: string, partition: string) =>
  create(MachineDesiredSchema, {
    uuid,
    partition,
    epoch: 3n,
    allocation: create(MachineAllocationSchema, {
      uuid,
      name: `web-${uuid.slice(-6)}`,
      hostname: `web-${uuid.slice(-6)}`,
      project: "0b6e1c1e-0000-4000-8000-00000000000a",
      createdBy: "admin",
      sshPublicKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@home"],
      networks: [
        { network: "0b6e1c1e-0000-4000-8000-0000000000aa", ips: ["10.0.0.5"], prefixes: ["10.0.0.0/22"], vrf: 42n },
      ],
    }),
  });

async function agentsOf(central: BenchCentral, prefix: string, count: number, folder: string): Promise<Readers> {
  const orders = {
    url: central.url,
    prefix,
    first: 0,
    count,
    token: central.token,
    folder: path.join(folder, `${prefix}-${nowMs()}`),
  };
  return new Readers("sync-agents-main.ts", orders, processes);
}

process.exitCode = await main();
