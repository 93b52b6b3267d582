// People on site with the shipped CLI at the shipped local API: over the socket, and over TLS with the site's token.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import tls from "node:tls";
import { create } from "@bufbuild/protobuf";
import * as v from "valibot";
import { usualLimits } from "#agent/bmc/connection.ts";
import { pairing } from "#agent/bmc/testing/pair.ts";
import { agentConfigSchema } from "#agent/config.ts";
import { nodeBmcCrypto } from "#agent/io/bmc-crypto.ts";
import { selfMadeCertificate } from "#agent/io/self-made-certificate.ts";
import { openSitePort } from "#agent/io/site-port.ts";
import { agentWithMachine, onSiteOf } from "#agent/site/testing/on-site.ts";
import { uuidA } from "#agent/testing/site.ts";
import { kinds } from "#central/store/kinds.ts";
import { MemoryStore } from "#central/store/memory-store.ts";
import { openState } from "#central/store/state.ts";
import { takeReport } from "#central/sync/report.ts";
import { holdfast } from "#cli/testing/rehearsal.ts";
import { ReportRequestSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { AuditPhase } from "#gen/metalstack/api/v2/audit_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { Lifetime } from "#lib/lifetime.ts";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";

let folder: string;
let lifetime: Lifetime;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "holdfast-hands-"));
  lifetime = new Lifetime(silentLog);
});
afterEach(async () => {
  await lifetime.stop();
  rmSync(folder, { recursive: true });
});

function config(site: { readonly address?: string; readonly apiPort?: number }) {
  const usual = v.parse(agentConfigSchema, {
    partition: "p1",
    dataDir: folder,
    central: { url: "http://127.0.0.1:1", tokenFile: "none" },
    boot: { address: "127.0.0.1", subnets: [{ network: "127.0.0.0/8", from: "127.0.0.10", to: "127.0.0.20" }] },
    site,
  });
  // A port that is free; nobody else may wish for that.
  return { ...usual, site: { ...usual.site, port: 0, ...(site.apiPort !== undefined && { apiPort: 0 }) } };
}

/** An agent without central, its machine at a BMC in memory. */
async function place(site: Parameters<typeof config>[0] = {}) {
  const quiet = () => new Promise<void>((resolve) => setImmediate(resolve));
  const { bmc, responder, clock } = pairing(
    nodeBmcCrypto,
    quiet,
  )({
    // Nobody lets virtual time pass here.
    options: { limits: { ...usualLimits, gapMs: 0 } },
  });
  const { agent } = await agentWithMachine({ clock, responder });
  const life = onSiteOf(agent, () => bmc);
  lifetime.onStop("life", () => life.stop.abort(new Error("the test is over")));
  await openSitePort(config(site), life.served, lifetime);
  life.live();
  return { agent, responder, clock };
}

const socket = () => path.join(folder, "site.sock");
const onSocket = (...args: string[]) => holdfast(["site", ...args, "--socket", socket()]);

test("with central away, a machine is found by its MAC and switched off, and who did it is on record here and on its way", async () => {
  const { agent, responder } = await place();
  const off = await onSocket("power", "02:00:00:00:00:0a", "off");
  assert.deepEqual([off.code, off.out], [0, `${uuidA}: off: carried out\n`], off.err);
  assert.deepEqual(responder.chassis.done, ["off"]);
  assert.equal((await onSocket("power", uuidA, "status")).out, "off\n");
  const audit = await onSocket("audit");
  assert.match(audit.out, new RegExp(`site:alice +OrderBmc +done +\\{"machine":"${uuidA}","command":"off"\\}\n$`));
  assert.match((await onSocket("outbox")).out, /^audit +2 /m);
  assert.ok(agent.outbox.pending(99).some(({ kind }) => kind === "audit"));
});

test("a machine's console is opened through its BMC: what is typed reaches the server, what it says is shown, and it is on record", async () => {
  const { responder } = await place();
  const shown = { text: "" };
  const typed = async function* () {
    yield new TextEncoder().encode("hello\r");
    while (!shown.text.includes("HELLO")) await new Promise((resolve) => setImmediate(resolve));
    yield new TextEncoder().encode("~b~.");
  };
  const ran = await holdfast(["site", "console", uuidA, "--socket", socket()], {
    typed: typed(),
    onSay: (text) => {
      shown.text += text;
    },
  });
  assert.deepEqual([ran.code, ran.out], [0, "HELLO\r"], ran.err);
  assert.deepEqual([responder.serial.typed, responder.serial.breaks], ["hello\r", 1]);
  assert.match((await onSocket("audit")).out, new RegExp(`site:alice +OpenConsole .*\\{"machine":"${uuidA}"\\}`));
});

test("what was done while central was away reaches it with the outbox: who did what, and the order's outcome", async () => {
  const { agent, clock } = await place();
  await onSocket("power", uuidA, "off");
  const stop = new AbortController();
  lifetime.onStop("central", () => stop.abort());
  const store = new MemoryStore({ clock, random: systemRandom });
  const state = await openState({ store, clock, random: systemRandom, log: silentLog }, stop.signal);
  await state.transact((tx) => tx.put(kinds.partition, "p1", create(PartitionSchema, { id: "p1" })));
  const { outbox } = agent;
  const report = { partition: "p1", outbox: outbox.id, entries: [...outbox.pending(99)] };
  const { acknowledged, rejected } = await takeReport(state, clock, create(ReportRequestSchema, report));
  await outbox.acknowledge(acknowledged, rejected);
  assert.deepEqual([rejected, outbox.size], [[], 0]);
  const traces = state.list(kinds.siteAudit).map(({ value }) => value);
  assert.deepEqual(
    traces.map(({ user, phase, resultCode }) => [user, phase, resultCode]),
    [
      ["site:alice", AuditPhase.REQUEST, undefined],
      ["site:alice", AuditPhase.RESPONSE, 0],
    ],
  );
  const machine = state.get(kinds.machineObserved, uuidA)?.value;
  assert.deepEqual(
    [machine?.heldOff, machine?.outcomes.map(({ id, error }) => [id, error])],
    [true, [[traces[0]?.uuid, ""]]],
  );
});

test("over TLS the site's token and the certificate's fingerprint let in; another token or certificate does not", async () => {
  await place({ address: "127.0.0.1" });
  const status = JSON.parse((await onSocket("status", "-o", "json")).out) as {
    address: { url: string; fingerprint: string };
  };
  const { url, fingerprint } = status.address;
  const tokenFile = path.join(folder, "site-token");
  assert.equal(statSync(tokenFile).mode & 0o777, 0o600);
  const token = readFileSync(tokenFile, "utf8");
  const remote = (shown: string, known: string, ...args: string[]) =>
    holdfast(["site", ...args, "--server", url, "--token-file", "t", "--fingerprint", known], { files: { t: shown } });
  const power = await remote(token, fingerprint, "identify", uuidA, "on");
  assert.equal(power.code, 0, power.err);
  assert.match((await onSocket("audit", "-o", "wide")).out, /site-token:alice +OrderBmc .* 127\.0\.0\.1 /);
  const other = await remote(token, "ab".repeat(32), "status");
  assert.deepEqual([other.code, /certificate that is not trusted.*compare --fingerprint/.test(other.err)], [3, true]);
  await onSocket("rotate-token");
  const former = await remote(token, fingerprint, "status");
  assert.match(former.err, /does not take the token \(the token is not this site's\)/);
  assert.equal((await remote(readFileSync(tokenFile, "utf8"), fingerprint, "status")).code, 0);
  for (let i = 0; i < 4; i++) await remote("wrong", fingerprint, "status");
  const late = await remote(readFileSync(tokenFile, "utf8"), fingerprint, "status");
  assert.match(late.err, /5 wrong tokens came from 127\.0\.0\.1 within 60 s/);
  assert.equal((await onSocket("status")).code, 0, "the socket is not concerned");
});

test("members of projects reach the compatible API over TLS by the certificate that the agent has laid down", async () => {
  await place({ address: "127.0.0.1", apiPort: 8445 });
  const { address } = JSON.parse((await onSocket("status", "-o", "json")).out) as { address: { apiUrl: string } };
  const certificate = readFileSync(path.join(folder, "site-certificate.pem"), "utf8");
  const args = ["machine", "list", "--project", uuidA, "--server", address.apiUrl, "--ca", "c", "--token-file", "t"];
  const list = async (ca: string) => await holdfast(args, { files: { c: ca, t: "somebodys" } });
  assert.match((await list(certificate)).err, new RegExp(`project ${uuidA} has no budget in partition p1`));
  const other = await selfMadeCertificate(new MemoryDisk(), { subject: "somebody else", names: ["127.0.0.1"] });
  assert.match((await list(String(other.certificate))).err, /certificate that is not trusted/);
});

test("nothing is sent to a server whose certificate has another fingerprint", async () => {
  const { key, certificate } = await selfMadeCertificate(new MemoryDisk(), {
    subject: "somebody else",
    names: ["127.0.0.1"],
  });
  const heard: Buffer[] = [];
  const server = tls.createServer({ key: Buffer.from(key), cert: Buffer.from(certificate), ALPNProtocols: ["h2"] });
  server.on("secureConnection", (s) => s.on("data", (bytes: Buffer) => heard.push(bytes)).on("error", () => {}));
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = ["site", "status", "--server", url, "--token-file", "t", "--fingerprint", "ab".repeat(32)];
  assert.equal((await holdfast(args, { files: { t: "precious" } })).code, 3);
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(heard, []);
});
