// npm run bench:api: the public API's calls beside an empty echo and raw etcd commits, in one run. See docs/bench.md.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { EtcdStore } from "#central/io/etcd-store.ts";
import { etcdMissing, startEtcd } from "#central/io/testing/etcd-process.ts";
import { IPSchema, IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { type BenchServer, startServer } from "./api-server.ts";
import { fill, label, labelled, machineUuid, project } from "./api-world.ts";
import { type Load, load } from "./load.ts";
import { type RawEtcd, rawEtcd } from "./raw-etcd.ts";
import { row } from "./text.ts";

const usage = `npm run bench:api -- [flags]     the public API beside an empty echo and raw etcd commits, in one run

  --calls N        of each kind, for each number in flight (5000); a list is called a tenth as often
  --machines N     of the project that is listed; a multiple of ${labelled} (10000)
  --in-flight N,N  calls at once (1,64)
  --data FOLDER    where etcd keeps its data (the system's folder for temporary files)
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      calls: { type: "string", default: "5000" },
      machines: { type: "string", default: "10000" },
      "in-flight": { type: "string", default: "1,64" },
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
  const [calls, machines] = [Number(values.calls), Number(values.machines)];
  const inFlight = values["in-flight"].split(",").map(Number);
  const isFine = [calls, machines, ...inFlight].every((n) => Number.isSafeInteger(n) && n > 0);
  if (!isFine || machines % labelled !== 0) {
    console.error(`bench:api: whole numbers above 0 are wanted, of machines a multiple of ${labelled}\n\n${usage}`);
    return 2;
  }
  const folder = mkdtempSync(path.join(values.data, "holdfast-bench-"));
  const etcd = await startEtcd({ dataDir: folder });
  const endpoint = etcd.endpoints[0] ?? "";
  const store = new EtcdStore({ clock, random, log }, { endpoints: [endpoint] });
  const raw = rawEtcd([endpoint]);
  const servers: BenchServer[] = [];
  try {
    console.log(`${machines} machines; etcd's data in ${values.data}, flushed to its disk`);
    await fill(store, machines, clock.wallMs());
    await store.close();
    servers.push(await startServer("echo"), await startServer(endpoint));
    const [echo, central] = servers as [BenchServer, BenchServer];
    for (const many of inFlight) await compare({ echo, central, raw, calls, machines, many });
    return 0;
  } finally {
    for (const server of servers) await server.stop();
    raw.close();
    await etcd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Measured extends Load {
  /** What one call costs the server in computing. */
  readonly serverUs: number;
}

interface Round {
  readonly echo: BenchServer;
  readonly central: BenchServer;
  readonly raw: RawEtcd;
  readonly calls: number;
  readonly machines: number;
  readonly many: number;
}

async function compare({ echo, central, raw, calls, machines, many }: Round): Promise<void> {
  const version = createClient(VersionService, transport(echo));
  const machine = createClient(MachineService, transport(central));
  const ip = createClient(IPService, transport(central));
  const kinds = {
    echo: () => version.get({}),
    get: (i: number) => machine.get({ uuid: machineUuid(i % machines), project }),
    list: () => machine.list({ project, query: { allocation: { labels: { labels: label } } } }),
    create: () => ip.create({ network: "internet", project }),
    raw: (i: number) => putRaw(raw, `${many}-${i}`),
  };
  const { machines: page } = await kinds.list();
  if (page.length !== labelled) throw new Error(`the list has ${page.length} machines instead of ${labelled}`);
  const measured = async (
    calls: number,
    call: (i: number) => Promise<unknown>,
    by?: BenchServer,
  ): Promise<Measured> => {
    // The compiler's part.
    await load(Math.ceil(calls / 5), many, (i) => call(i + calls));
    const before = (await by?.computedUs()) ?? 0;
    const figures = await load(calls, many, call);
    return { ...figures, serverUs: (((await by?.computedUs()) ?? 0) - before) / calls };
  };
  const echoed = await measured(calls, kinds.echo, echo);
  const got = await measured(calls, kinds.get, central);
  const again = await measured(calls, kinds.echo, echo);
  const listed = await measured(Math.ceil(calls / 10), kinds.list, central);
  const committed = await measured(calls, kinds.raw);
  const made = await measured(calls, kinds.create, central);
  const peer = Math.max(echoed.perSecond, again.perSecond);
  console.log(row([`\n${many} in flight`, "calls/s", "p50 ms", "p99 ms", "server µs", "ratio"]));
  show("echo", echoed);
  show("Machine.Get", got, `${(got.perSecond / peer).toFixed(2)} × echo`);
  show(`Machine.List, ${labelled} by label`, listed, `p99 ${(listed.p99 / got.p99).toFixed(1)} × Get`);
  show("raw etcd commit", committed);
  show("IP.Create", made, `${(made.perSecond / committed.perSecond).toFixed(2)} × raw`);
}

function transport({ url, token }: BenchServer) {
  const authorized: Interceptor = (next) => (request) => {
    if (token !== "") request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  return createGrpcTransport({ baseUrl: url, interceptors: [authorized] });
}

/** What the store gets for an address: compare that it is new, and put. */
async function putRaw(raw: RawEtcd, key: string): Promise<void> {
  const ip = create(IPSchema, { uuid: random.uuid(), ip: "10.1.2.3", network: "internet", project });
  const puts = [{ key, value: toBinary(IPSchema, ip) }];
  await raw.commit({ conditions: [{ key, revision: 0n }], puts, deletes: [] });
}

function show(name: string, { perSecond, p50, p99, serverUs }: Measured, ratio = ""): void {
  console.log(row([name, perSecond.toFixed(0), p50.toFixed(2), p99.toFixed(2), serverUs.toFixed(0), ratio]));
}

process.exitCode = await main();
