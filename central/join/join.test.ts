import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { afterEach, beforeEach, test } from "node:test";
import { inspect } from "node:util";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { AdminRole, OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { hex } from "#lib/bytes.ts";
import { dayMs } from "#lib/durations.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { type Log, type LogFields, silentLog } from "#lib/log.ts";
import { keyHeader } from "#lib/rpc/idempotency-key.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { callerOf } from "../access/caller.ts";
import { implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState } from "../store/state.ts";
import { Authority } from "./authority.ts";
import { endpoint, type JoinCentral, joinCentral } from "./testing/join-central.ts";

const heard: string[] = [];
const hear = (event: string, fields: LogFields = {}) => void heard.push(`${event} ${inspect(fields, { depth: 9 })}`);
const listening: Log = { ...silentLog, debug: hear, info: hear, warn: hear, error: hear };

/** Says who calls, as handlers see it. */
const whoCalls = implement(SyncService, {
  report: (_, context) => {
    const { user, partition = "" } = callerOf(context);
    return { rejected: [{ reason: `${user} of ${partition}` }] };
  },
});
const pair = keys.newPair();
let central: JoinCentral;
beforeEach(async () => {
  heard.length = 0;
  central = await joinCentral({ log: listening, more: () => [whoCalls] });
});
afterEach(() => central.close());

const refused = (reason: string, code: Code) => (error: unknown) => {
  assert.ok(error instanceof ConnectError, String(error));
  assert.deepEqual([error.findDetails(ErrorInfoSchema)[0]?.reason, Code[error.code]], [reason, Code[code]]);
  return true;
};
const userOf = async (certificate: Uint8Array) =>
  (await central.showing(SyncService, certificate).report({})).rejected[0]?.reason;
const partitions = () => central.client(PartitionService);

test("with a join token an agent gets a certificate for its key, and is the agent of its partition by it", async () => {
  const invitation = await central.invite();
  assert.equal(invitation.endpoint, endpoint);
  assert.equal(hex(invitation.fingerprint), hex(keys.sha256(central.authority.certificate)));
  const certificate = await central.enrol(invitation, pair);
  const read = new X509Certificate(certificate);
  assert.equal(read.subject, "CN=partition-agent:lab");
  assert.ok(read.verify(new X509Certificate(central.authority.certificate).publicKey));
  assert.deepEqual(read.publicKey.export({ type: "spki", format: "der" }), Buffer.from(pair.publicKey));
  assert.equal(await userOf(certificate), "partition-agent:lab of lab");
});

test("a join token is used once: by another key it is refused, by the same key it gives the same certificate", async () => {
  const invitation = await central.invite();
  const certificate = await central.enrol(invitation, pair);
  assert.deepEqual(await central.enrol(invitation, pair), certificate);
  const again = central.enrol(invitation, keys.newPair());
  await assert.rejects(again, refused("JOIN_TOKEN_USED", Code.FailedPrecondition));
  const another = await central.invite();
  const both = await Promise.allSettled([1, 2].map(async () => central.enrol(another, keys.newPair())));
  assert.deepEqual(both.map((b) => b.status).sort(), ["fulfilled", "rejected"]);
});

test("an expired or revoked token, one of another partition, and one with another secret are refused by name", async () => {
  const expired = await central.invite();
  central.clock.advance(dayMs);
  await assert.rejects(central.enrol(expired, pair), refused("JOIN_TOKEN_EXPIRED", Code.FailedPrecondition));
  const revoked = await central.invite();
  await partitions().revokeJoinToken({ id: revoked.token });
  await assert.rejects(central.enrol(revoked, pair), refused("JOIN_TOKEN_REVOKED", Code.FailedPrecondition));
  const other = await central.invite();
  const elsewhere = central.enrol(other, pair, { partition: "p2" });
  await assert.rejects(elsewhere, refused("OTHER_PARTITION", Code.PermissionDenied));
  for (const wrong of [{ secret: Uint8Array.from(other.secret).fill(0, 31) }, { token: "none" }]) {
    const guessed = central.enrol(other, pair, wrong);
    await assert.rejects(guessed, refused("JOIN_TOKEN_UNKNOWN", Code.Unauthenticated));
  }
  const garbage = central.enrol(other, pair, { certificateRequest: Uint8Array.of(0x30, 1, 2) });
  await assert.rejects(garbage, (e: ConnectError) => e.code === Code.InvalidArgument);
  // None of it has used the token up.
  assert.ok(await central.enrol(other, pair));
});

test("a join token that is made again under its idempotency key is the same one", async () => {
  const make = (key: string) =>
    partitions().createJoinToken({ partition: "lab", endpoint }, { headers: { [keyHeader]: key } });
  const made = await make("k");
  assert.deepEqual(await make("k"), made);
  assert.notEqual((await make("other")).joinString, made.joinString);
  assert.equal(central.state.list(kinds.joinToken).length, 2);
});

test("what never was stored or logged is the secret; of the token only its hash is kept", async () => {
  const invitation = await central.invite();
  await central.enrol(invitation, pair);
  await assert.rejects(central.enrol(invitation, keys.newPair()));
  const secret = hex(invitation.secret);
  assert.ok(heard.some((line) => line.startsWith("agent-enrolled")));
  assert.ok(heard.some((line) => line.startsWith("enrolment-refused")));
  const text = Buffer.from(invitation.secret);
  for (const line of heard)
    for (const form of ["hex", "base64", "base64url"] as const) assert.ok(!line.includes(text.toString(form)), line);
  const proof = central.state.get(kinds.joinSecret, invitation.token)?.value.hash;
  assert.notEqual(hex(proof!), secret);
  assert.equal(hex(proof!), hex(keys.sha256(invitation.secret)));
});

test("a certificate is renewed by itself, and the one before stays good until the new one was used", async () => {
  const first = await central.enrol(await central.invite(), pair);
  central.clock.advance(20 * dayMs);
  const lost = await central.renew(first);
  central.clock.advance(1);
  const second = await central.renew(first);
  assert.equal(await userOf(first), "partition-agent:lab of lab");
  central.clock.advance(dayMs);
  const third = await central.renew(second);
  for (const gone of [first, lost])
    await assert.rejects(userOf(gone), refused("CERTIFICATE_UNKNOWN", Code.Unauthenticated));
  for (const good of [second, third]) assert.equal(await userOf(good), "partition-agent:lab of lab");
});

test("answers that are lost again and again leave no more than nine certificates", async () => {
  const first = await central.enrol(await central.invite(), pair);
  for (let i = 0; i < 20; i++) {
    central.clock.advance(1000);
    await central.renew(first);
  }
  const { certificates } = await partitions().listAgentCertificates({ partition: "lab" });
  assert.equal(certificates.length, 10);
  assert.equal(await userOf(first), "partition-agent:lab of lab");
});

test("a certificate ends with its time, and cannot be renewed then", async () => {
  const certificate = await central.enrol(await central.invite(), pair);
  central.clock.advance(30 * dayMs - 1);
  assert.equal(await userOf(certificate), "partition-agent:lab of lab");
  central.clock.advance(1);
  await assert.rejects(userOf(certificate), refused("CERTIFICATE_EXPIRED", Code.Unauthenticated));
  await assert.rejects(central.renew(certificate), refused("CERTIFICATE_EXPIRED", Code.Unauthenticated));
});

test("a revoked certificate is worth nothing at once: all of a partition, or one by its serial", async () => {
  const first = await central.enrol(await central.invite(), pair);
  const second = await central.enrol(await central.invite(), keys.newPair());
  const serial = new X509Certificate(first).serialNumber.toLowerCase();
  const one = await partitions().revokeAgentCertificates({ partition: "lab", serial });
  assert.deepEqual(
    one.certificates.map((c) => [c.serial, c.revokedBy]),
    [[serial, "admin"]],
  );
  await assert.rejects(userOf(first), refused("CERTIFICATE_REVOKED", Code.Unauthenticated));
  await assert.rejects(central.renew(first), refused("CERTIFICATE_REVOKED", Code.Unauthenticated));
  assert.equal(await userOf(second), "partition-agent:lab of lab");
  await partitions().revokeAgentCertificates({ partition: "lab" });
  await assert.rejects(userOf(second), refused("CERTIFICATE_REVOKED", Code.Unauthenticated));
  await assert.rejects(partitions().revokeAgentCertificates({ partition: "lab" }), /has no certificate that is good/);
});

test("of all certificates that are revoked none is left out that is renewed at the same time", async () => {
  const first = await central.enrol(await central.invite(), pair);
  const [renewed] = await Promise.allSettled([
    central.renew(first),
    partitions().revokeAgentCertificates({ partition: "lab" }),
  ]);
  const { certificates } = await partitions().listAgentCertificates({ partition: "lab" });
  assert.deepEqual(new Set(certificates.map((c) => c.revokedBy)), new Set(["admin"]));
  for (const bad of [first, ...(renewed.status === "fulfilled" ? [renewed.value] : [])])
    await assert.rejects(userOf(bad), refused("CERTIFICATE_REVOKED", Code.Unauthenticated));
});

test("a certificate that central never gave is nobody's, whoever signed it; a token beside it counts", async () => {
  const issued = central.authority.issue({
    subject: "partition-agent:lab",
    publicKey: pair.publicKey,
    use: { kind: "client" },
    lifeMs: dayMs,
  });
  await assert.rejects(userOf(issued.certificate), refused("CERTIFICATE_UNKNOWN", Code.Unauthenticated));
  const headers = { authorization: `Bearer ${central.adminToken}` };
  const { tokens } = await central.showing(PartitionService, issued.certificate).listJoinTokens({}, { headers });
  assert.deepEqual(tokens, []);
});

test("only who shows a certificate can renew it", async () => {
  const asked = { certificateRequest: Uint8Array.of(1) };
  await assert.rejects(
    central.client(JoinService).renew(asked),
    refused("CERTIFICATE_WANTED", Code.FailedPrecondition),
  );
  await assert.rejects(
    central.anonymous(JoinService).renew(asked),
    (e: ConnectError) => e.code === Code.Unauthenticated,
  );
});

test("a join token is made by administrators, for a partition that is there, with an endpoint under TLS and a life within limits", async () => {
  const make = (change: object) => partitions().createJoinToken({ partition: "lab", endpoint, ...change });
  await assert.rejects(make({ partition: "none" }), /partition none does not exist|partition none/);
  await assert.rejects(make({ endpoint: "http://central:1" }), /endpoint http:\/\/central:1: a URL of the form https/);
  await assert.rejects(make({ lifetime: durationFromMs(59_000) }), /lifetime 59 s: 1 minute to 30 days is wanted/);
  await assert.rejects(make({ lifetime: durationFromMs(31 * dayMs) }), /lifetime 2678400 s/);
  const viewer = await central.tokenFor("v", { adminRole: AdminRole.VIEWER });
  const asViewer = central.client(PartitionService, viewer);
  await assert.rejects(
    asViewer.createJoinToken({ partition: "lab", endpoint }),
    (e: ConnectError) => e.code === Code.PermissionDenied,
  );
  for (let i = 0; i < 20; i++) await make({});
  await assert.rejects(make({}), refused("JOIN_TOKENS_OPEN", Code.ResourceExhausted));
  central.face.certificate = undefined;
  await assert.rejects(make({}), refused("NO_TLS", Code.FailedPrecondition));
});

test("a partition that is gone lets nobody join", async () => {
  const invitation = await central.invite();
  await central.client(AdminPartitionService).delete({ id: "lab" });
  await assert.rejects(central.enrol(invitation, pair), (e: ConnectError) => e.code === Code.NotFound);
});

test("what was given for a partition is worth nothing for another one of its name", async () => {
  const certificate = await central.enrol(await central.invite(), pair);
  const invitation = await central.invite();
  const partition = central.client(AdminPartitionService);
  await partition.delete({ id: "lab" });
  assert.equal(await userOf(certificate), "partition-agent:lab of lab");
  await partition.create({ partition: { id: "lab" } });
  await assert.rejects(userOf(certificate), refused("PARTITION_MADE_ANEW", Code.Unauthenticated));
  await assert.rejects(central.enrol(invitation, keys.newPair()), refused("PARTITION_MADE_ANEW", Code.Unauthenticated));
  const anew = await central.enrol(await central.invite(), pair);
  await partition.update({ id: "lab", description: "changed", updateMeta: { lockingStrategy: Lock.SERVER } });
  assert.equal(await userOf(anew), "partition-agent:lab of lab");
});

test("of several centrals that start at once one makes the authority, and all have it, also after a restart", async () => {
  const clock = new VirtualClock();
  const random = systemRandom;
  const store = new MemoryStore({ clock, random });
  const stop = new AbortController();
  const open = async () => {
    const state = await openState({ store, clock, random, log: silentLog }, stop.signal);
    return (await Authority.open({ state, keys, clock, random })).certificate;
  };
  const [a, b] = await Promise.all([open(), open()]);
  assert.deepEqual(a, b);
  assert.deepEqual(await open(), a);
  stop.abort();
});
