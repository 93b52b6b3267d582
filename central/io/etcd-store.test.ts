// What the etcd adapter promises beyond central/store/conformance.test.ts, on real etcd processes.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { create } from "@bufbuild/protobuf";
import { Etcd3, Range } from "etcd3";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { systemClock } from "#lib/io/system-clock.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { silentLog } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { Secret } from "#lib/secret.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { kinds } from "../store/kinds.ts";
import { openState, type State } from "../store/state.ts";
import { Compacted, type Store, StoreUnavailable } from "../store/store.ts";
import { EtcdClient } from "./etcd-client.ts";
import { EtcdStore, type EtcdStoreOptions } from "./etcd-store.ts";
import { etcdWatch } from "./etcd-watch.ts";
import { type EtcdCluster, type EtcdOptions, etcdMissing, startEtcd } from "./testing/etcd-process.ts";

const root = mkdtempSync(path.join(tmpdir(), "holdfast-etcd-"));
const running: EtcdCluster[] = [];
let clusters = 0;
after(async () => {
  await Promise.all(running.map((cluster) => cluster.stop()));
  rmSync(root, { recursive: true });
});

async function start(options: Partial<EtcdOptions> = {}): Promise<EtcdCluster & { readonly dataDir: string }> {
  const dataDir = path.join(root, String(clusters++));
  const cluster = await startEtcd({ dataDir, flush: "none", ...options });
  running.push(cluster);
  return { ...cluster, dataDir };
}

const open = (options: EtcdStoreOptions, clock = systemClock) =>
  new EtcdStore({ clock, random: systemRandom, log: silentLog }, options);
const bytes = (text: string) => new TextEncoder().encode(text);
const put = (store: Store, key: string) =>
  store.commit({ conditions: [], puts: [{ key, value: bytes(key) }], deletes: [] });
const project = (name: string) => create(ProjectSchema, { name });
const putProject = (state: State, id: string) => state.transact((tx) => tx.put(kinds.project, id, project(id)));

/** Until it is so; real time, since etcd's elections are. Fails after 20 s. */
async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await isSo()) return;
    await delay(20);
  }
  assert.fail(`within 20 s: ${what}`);
}

/** A way to an endpoint that can be made silent while its connections stay open. */
async function startProxy(endpoint: string) {
  const sockets = new Set<Socket>();
  let isSilent = false;
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(endpoint).port), "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from
        .on("data", (data) => isSilent || to.write(data))
        .on("error", () => to.destroy())
        .on("close", () => to.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as { readonly port: number }).port}`,
    silence: () => {
      isSilent = true;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe("etcd:", { skip: etcdMissing() ?? false, concurrency: 2 }, () => {
  test("a member is killed, each in turn: nothing acknowledged is lost, and changes come once and in order", async (t) => {
    const cluster = await start({ members: 3 });
    const store = open({ endpoints: cluster.endpoints, timeoutMs: 2_000 });
    const stopping = new AbortController();
    t.after(() => stopping.abort());
    const state = await openState({ store, clock: systemClock, random: systemRandom, log: silentLog }, stopping.signal);
    const seen: { readonly id: string; readonly revision: bigint }[] = [];
    const watching = (async () => {
      for await (const batch of state.changes(stopping.signal)) {
        for (const change of batch.changes) seen.push({ id: change.id, revision: batch.revision });
      }
    })();
    const acknowledged: string[] = [];
    const writing = (async () => {
      for (let n = 0; !stopping.signal.aborted; n++) {
        const done = await putProject(state, `p${n}`).then(
          () => true,
          (error) => !(error instanceof Refusal && error.code === "unavailable") && Promise.reject(error),
        );
        if (done) acknowledged.push(`p${n}`);
        else await delay(10);
      }
    })();
    const goesOn = async () => {
      const before = acknowledged.length;
      await until(() => acknowledged.length > before + 20, "commits go on");
    };
    await goesOn();
    for (const member of [0, 1, 2]) {
      await cluster.kill(member);
      await goesOn();
      await cluster.restart(member);
    }
    await goesOn();
    stopping.abort();
    await Promise.all([writing, watching]);
    const held = new Set((await store.list("project/")).items.map((i) => i.key.slice("project/".length)));
    assert.deepEqual(
      acknowledged.filter((id) => !held.has(id)),
      [],
    );
    const ids = seen.map((change) => change.id);
    assert.equal(new Set(ids).size, ids.length, "no change came twice");
    assert.deepEqual(
      acknowledged.slice(0, -1).filter((id) => !ids.includes(id)),
      [],
    );
    assert.deepEqual(
      seen.map((s) => s.revision),
      seen.map((s) => s.revision).toSorted((a, b) => Number(a - b)),
    );
    await state.close();
    await store.close();
  });

  test("while etcd is away reads go on and writes are refused by its name; both go on when it is back", async (t) => {
    const cluster = await start();
    const store = open({ endpoints: cluster.endpoints });
    const stopping = new AbortController();
    t.after(() => stopping.abort());
    const state = await openState({ store, clock: systemClock, random: systemRandom, log: silentLog }, stopping.signal);
    await putProject(state, "before");
    await cluster.kill(0);
    await until(() => state.away !== undefined, "the outage is noticed");
    assert.equal(state.get(kinds.project, "before")?.value.name, "before");
    const address = cluster.endpoints[0]?.replace("http://", "");
    await assert.rejects(putProject(state, "during"), (error) => {
      return error instanceof Refusal && error.code === "unavailable" && error.message.includes(`etcd at ${address}: `);
    });
    await cluster.restart(0);
    await until(() => state.away === undefined, "the state is back");
    await putProject(state, "after");
    assert.deepEqual(
      state.list(kinds.project).map((row) => row.id),
      ["after", "before"],
    );
    await state.close();
    await store.close();
  });

  test("commits that are asked for in one turn go together, and share a revision; each has its own outcome", async (t) => {
    const { endpoints } = await start();
    const store = open({ endpoints });
    t.after(() => store.close());
    await put(store, "taken");
    const absent = (key: string, ...more: string[]) => ({
      conditions: [key, ...more].map((name) => ({ key: name, revision: 0n })),
      puts: [{ key, value: bytes(key) }],
      deletes: [],
    });
    const wanted = Array.from({ length: 16 }, (_, n) => absent(`k${n}`, ...(n % 4 === 0 ? ["taken"] : [])));
    const done = await Promise.all(wanted.map((commit) => store.commit(commit)));
    assert.deepEqual(
      done.map((one) => one.ok),
      wanted.map((_, n) => n % 4 !== 0),
    );
    assert.equal(new Set(done.flatMap((one) => (one.ok ? one.revision : []))).size, 1);
  });

  test("what all of one turn ask for holds for all of them or for none", async (t) => {
    const { endpoints } = await start();
    const store = open({ endpoints });
    t.after(() => store.close());
    // More than go beside the commits of a group.
    const places = Array.from({ length: 40 }, (_, n) => `place${n}`);
    for (const place of places) await put(store, place);
    const { items } = await store.list("place");
    const shared = items.map(({ key, revision }) => ({ key, revision }));
    const round = async (name: string) => {
      const keys = Array.from({ length: 16 }, (_, n) => `${name}${n}`);
      const own = (key: string) => ({
        conditions: [...shared, { key, revision: 0n }],
        puts: [{ key, value: bytes(key) }],
      });
      const done = await Promise.all(keys.map((key) => store.commit({ ...own(key), deletes: [] })));
      return { done: done.filter((one) => one.ok).length, stored: (await store.list(name)).items.length };
    };
    await put(store, "a3");
    assert.deepEqual(await round("a"), { done: 15, stored: 16 });
    await put(store, "place7");
    assert.deepEqual(await round("b"), { done: 0, stored: 0 });
  });

  test("a watch whose connection fell silent is ended with an error", async () => {
    const cluster = await start();
    const proxy = await startProxy(cluster.endpoints[0] as string);
    const clock = new VirtualClock();
    const direct = open({ endpoints: cluster.endpoints });
    const client = new EtcdClient({ endpoints: [proxy.endpoint] });
    await put(direct, "a");
    const after = (await direct.list("")).revision;
    const batches: bigint[] = [];
    const watching = (async () => {
      const watch = { root: "/holdfast/", after, currentRevision: async () => (await direct.list("")).revision };
      for await (const batch of etcdWatch(client, clock, watch, new AbortController().signal))
        batches.push(batch.revision);
    })();
    const ended = assert.rejects(watching, { name: "StoreUnavailable", message: /stays at \d+, the store is at \d+/ });
    await put(direct, "b");
    await until(() => batches.length === 1, "the watch has begun");
    proxy.silence();
    await put(direct, "c");
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    await until(() => {
      clock.advance(5_000);
      return isOver;
    }, "the watch is given up");
    await ended;
    proxy.close();
    client.close();
    await direct.close();
  });

  test("a cluster restored from a snapshot has a new history, though its ids are the same", async () => {
    const cluster = await start();
    const { endpoints, dataDir } = cluster;
    const store = open({ endpoints });
    const history = await store.history();
    for (let i = 0; i < 300; i++) await put(store, "a");
    const snapshot = path.join(root, "snapshot.db");
    const etcdctl = (args: readonly string[]) =>
      promisify(execFile)("etcdctl", args, { env: { ...process.env, ETCDCTL_API: "3" } });
    await etcdctl(["--endpoints", endpoints[0] as string, "snapshot", "save", snapshot]);
    await store.close();
    const peer = await promisify(execFile)("etcdctl", ["--endpoints", endpoints[0] as string, "member", "list"], {
      env: { ...process.env, ETCDCTL_API: "3" },
    });
    const peerUrl = peer.stdout.split(", ")[3] as string;
    await cluster.kill(0);
    rmSync(path.join(dataDir, "member-0/data"), { recursive: true });
    const restored = ["--data-dir", path.join(dataDir, "member-0/data"), "--name", "member-0"];
    const addresses = ["--initial-cluster", `member-0=${peerUrl}`, "--initial-advertise-peer-urls", peerUrl];
    await etcdctl(["snapshot", "restore", snapshot, ...restored, ...addresses]);
    await cluster.restart(0);
    const later = open({ endpoints });
    const now = await later.history();
    assert.notEqual(now, history);
    assert.equal(await later.history(), now, "and keeps it");
    await later.close();
  });

  test("revisions beyond those to be kept are compacted while somebody watches", async () => {
    const { endpoints } = await start();
    const clock = new VirtualClock();
    const store = open({ endpoints, keep: 50 }, clock);
    await store.history();
    for (let i = 0; i < 100; i++) await put(store, "a");
    const stopping = new AbortController();
    const { revision } = await store.list("");
    const watching = (async () => {
      for await (const _ of store.watch({ prefix: "", after: revision }, stopping.signal));
    })();
    const resume = async (from: bigint) => {
      for await (const batch of store.watch({ prefix: "", after: from }, stopping.signal)) return batch.revision;
    };
    await until(async () => {
      clock.advance(5_000);
      await turn();
      return resume(revision - 51n).then(
        () => false,
        (error) => error instanceof Compacted,
      );
    }, "the log is compacted");
    assert.equal(await resume(revision - 50n), revision - 49n);
    stopping.abort();
    await watching;
    await store.close();
  });

  test("TLS with a client's certificate, and a user with a password, are asked for and used", async () => {
    const tls = await certificates();
    const cluster = await start({ tls: tls.files });
    const certified = { endpoints: cluster.endpoints, tls: { ca: tls.ca, cert: tls.cert, key: new Secret(tls.key) } };
    await enableAuth(cluster.endpoints, tls);
    const user = { name: "holdfast", password: new Secret("pass") };
    const store = open({ ...certified, user });
    assert.equal((await put(store, "a")).ok, true);
    assert.equal((await store.list("")).items.length, 1);
    assert.match(await store.history(), /-/);
    await store.close();
    const refused = async (options: EtcdStoreOptions) => {
      const other = open({ timeoutMs: 1_000, ...options });
      await assert.rejects(put(other, "b"), StoreUnavailable);
      await other.close();
    };
    await refused({ ...certified, user: { name: "holdfast", password: new Secret("wrong") } });
    await refused({ endpoints: cluster.endpoints, tls: { ca: tls.ca }, user });
    await refused({ ...certified, user, root: "/elsewhere" });
  });
});

async function enableAuth(
  endpoints: readonly string[],
  tls: { readonly ca: string; readonly cert: string; readonly key: string },
) {
  const admin = new Etcd3({
    hosts: [...endpoints],
    credentials: {
      rootCertificate: Buffer.from(tls.ca),
      privateKey: Buffer.from(tls.key),
      certChain: Buffer.from(tls.cert),
    },
  });
  const role = await admin.role("holdfast").create();
  await role.grant({ permission: "Readwrite", range: Range.prefix("/holdfast/") });
  await (await admin.user("holdfast").create("pass")).addRole("holdfast");
  await (await admin.user("root").create("root")).addRole("root");
  await admin.auth.authEnable();
  admin.close();
}

/** One authority, and one certificate of it for both sides; PEM texts, and files for etcd. */
async function certificates() {
  const file = (name: string) => path.join(root, name);
  const openssl = (...args: string[]) => promisify(execFile)("openssl", args, { cwd: root });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];
  const extensions = ["subjectAltName=IP:127.0.0.1", "extendedKeyUsage=serverAuth,clientAuth"].join("\n");
  writeFileSync(file("ext.cnf"), extensions);
  await openssl("req", "-x509", ...newKey, "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.pem");
  await openssl("req", ...newKey, "-subj", "/CN=holdfast-test", "-keyout", "key.pem", "-out", "request.pem");
  const signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "ext.cnf"];
  await openssl("x509", "-req", "-in", "request.pem", ...signing, "-out", "cert.pem");
  const text = (name: string) => readFileSync(file(name), "utf8");
  const files = { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") };
  return { ca: text("ca.pem"), cert: text("cert.pem"), key: text("key.pem"), files };
}
