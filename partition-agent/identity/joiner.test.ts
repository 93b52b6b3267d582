import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { joinString } from "#domain/join/join-string.ts";
import { type Credential, CredentialSchema, InvitationSchema } from "#gen/holdfast/join/v1/join_pb.ts";
import { hex } from "#lib/bytes.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { checked } from "#lib/result.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { requestedKey } from "#lib/x509/request.ts";
import { Joiner } from "./joiner.ts";

const hourMs = 3_600_000;
let clock: VirtualClock;
let disk: MemoryDisk;
/** What is in the file; an error when it cannot be read. */
let file: string | undefined | Error;
/** What central does with the next call; the last one stays. */
let answers: ("gives" | "loses its answer" | Error)[];
/** Whom central was asked by: the token, empty for a renewal, and the key. */
let asked: { token: string; key: string }[];
/** How far the agent's clock is ahead of central's. */
let aheadMs: number;
let stop: AbortController;
beforeEach(() => {
  aheadMs = 0;
  clock = new VirtualClock();
  disk = new MemoryDisk();
  file = undefined;
  answers = ["gives"];
  asked = [];
  stop = new AbortController();
});
afterEach(() => stop.abort());

function answered(token: string, request: Uint8Array): Credential {
  asked.push({ token, key: hex(checked(requestedKey(request, keys))) });
  const answer = answers.length > 1 ? answers.shift()! : answers[0]!;
  if (answer === "loses its answer") throw new Error("connection reset");
  if (answer !== "gives") throw answer;
  const now = clock.wallMs() - aheadMs;
  return create(CredentialSchema, {
    certificate: Uint8Array.of(asked.length),
    authorities: [Uint8Array.of(1)],
    issuedAt: timestampFromMs(now),
    notAfter: timestampFromMs(now + 3 * hourMs),
  });
}

const refusal = (text: string) => new ConnectError(text, Code.FailedPrecondition);

function start(): { joiner: Joiner; changes: () => number } {
  let changes = 0;
  const joiner = new Joiner({
    partition: "p1",
    host: "agent-1",
    file: {
      path: "join-token",
      async read() {
        if (file instanceof Error) throw file;
        return file;
      },
    },
    client: {
      enrol: async ({ token }, { certificateRequest }) => answered(token, certificateRequest),
      renew: async (_, { certificateRequest }) => answered("", certificateRequest),
    },
    changed: () => {
      changes++;
    },
    keys,
    disk,
    clock,
    random: new Seeded(1),
    log: silentLog,
  });
  void joiner.run(stop.signal);
  return { joiner, changes: () => changes };
}

/** Lets time pass in steps, in each of which everything runs that can. */
async function pass(ms: number, stepMs = 1000): Promise<void> {
  for (let passed = 0; passed <= ms; passed += stepMs) {
    for (let i = 0; i < 10; i++) await turn();
    clock.advance(stepMs);
  }
  for (let i = 0; i < 10; i++) await turn();
}

const invitation = (token: string): string =>
  joinString(
    create(InvitationSchema, {
      endpoint: "https://central:8443",
      fingerprint: new Uint8Array(32),
      token,
      secret: Uint8Array.of(1),
      expires: timestampFromMs(1),
    }),
  );

test("a file that appears is seen within seconds, and joined by once", async () => {
  const { joiner, changes } = start();
  await pass(60_000);
  assert.equal(joiner.status.untilMs, undefined);
  file = `${invitation("t1")}\n`;
  await pass(11_000);
  assert.deepEqual([joiner.identity?.token, joiner.identity?.endpoint], ["t1", "https://central:8443"]);
  await pass(hourMs, 10_000);
  assert.deepEqual([asked.length, changes()], [1, 1]);
  file = invitation("t2");
  await pass(11_000);
  assert.equal(joiner.identity?.token, "t2");
});

test("while central is away it is asked again and again, always with the same key, also after a restart", async () => {
  file = invitation("t1");
  answers = ["loses its answer"];
  const { joiner } = start();
  await pass(60_000, 500);
  assert.ok(asked.length >= 6 && asked.length < 20, `${asked.length} calls`);
  assert.equal(joiner.status.problem, "connection reset");
  stop.abort();
  stop = new AbortController();
  answers = ["gives"];
  const again = start();
  await pass(1000);
  assert.equal(again.joiner.identity?.token, "t1");
  assert.equal(new Set(asked.map((a) => a.key)).size, 1);
  assert.equal(again.joiner.status.problem, "");
});

test("a join token that is refused is asked with again once a minute, and what central said is told", async () => {
  file = invitation("t1");
  answers = [refusal("join token t1 was used")];
  const { joiner } = start();
  await pass(hourMs, 10_000);
  assert.ok(asked.length > 50 && asked.length <= 61, `${asked.length} calls`);
  assert.match(joiner.status.problem, /join token t1 was used/);
  answers = ["gives"];
  file = invitation("t2");
  await pass(11_000);
  assert.deepEqual([joiner.identity?.token, joiner.status.problem], ["t2", ""]);
});

test("a file that cannot be read or holds something else is told, and does not end the certificate", async () => {
  file = "something else";
  const { joiner } = start();
  await pass(1000);
  assert.match(joiner.status.problem, /^no join string is in join-token: it does not begin with holdfast-join-1\.$/);
  file = new Error("EACCES: permission denied");
  await pass(11_000);
  assert.equal(joiner.status.problem, "join-token: EACCES: permission denied");
  file = invitation("t1");
  await pass(11_000);
  file = "something else";
  await pass(11_000);
  assert.equal(joiner.status.problem, "");
});

test("a renewal has a new key, and is asked for again when it fails or is refused", async () => {
  file = invitation("t1");
  const { joiner } = start();
  await pass(1000);
  answers = ["loses its answer", refusal("not now"), "gives"];
  await pass(2 * hourMs + 120_000, 10_000);
  assert.equal(joiner.status.problem, "connection reset");
  await pass(400_000, 10_000);
  assert.match(joiner.status.problem, /not now/);
  await pass(600_000, 10_000);
  assert.deepEqual(
    asked.map((a) => a.token),
    ["t1", "", "", ""],
  );
  assert.equal(new Set(asked.map((a) => a.key)).size, 4);
  assert.deepEqual([joiner.status.problem, joiner.identity?.token], ["", "t1"]);
});

test("an agent whose clock is far ahead renews every ten minutes, not all the time", async () => {
  aheadMs = 24 * hourMs;
  file = invitation("t1");
  start();
  await pass(hourMs, 10_000);
  assert.ok(asked.length >= 6 && asked.length <= 8, `${asked.length} calls`);
});

test("a certificate that is over says how to join again, and another join token is used", async () => {
  file = invitation("t1");
  const { joiner } = start();
  await pass(1000);
  answers = [refusal("the certificate has expired")];
  await pass(4 * hourMs, 60_000);
  assert.match(joiner.status.problem, /^the certificate has expired: put what `holdfast central join-token create/);
  answers = ["gives"];
  file = invitation("t2");
  await pass(11_000);
  assert.deepEqual([joiner.identity?.token, joiner.status.problem], ["t2", ""]);
});

test("what is damaged on the disk is as if it were not there", async () => {
  file = invitation("t1");
  start();
  await pass(1000);
  stop.abort();
  stop = new AbortController();
  await disk.write([{ table: "central-identity", key: "present", value: Uint8Array.of(0xff, 0xff) }]);
  const { joiner } = start();
  assert.equal(joiner.identity, undefined);
  file = undefined;
});

test("of two certificates that central knows neither of, each has its turn; an agent that has one only keeps it", async () => {
  file = invitation("t1");
  const { joiner } = start();
  await pass(1000);
  const first = joiner.identity!;
  await joiner.unknown(first);
  assert.equal(joiner.identity, first);
  await pass(2 * hourMs + 1000, 10_000);
  const second = joiner.identity!;
  assert.notDeepEqual(second.credential, first.credential);
  answers = [refusal("not now")];
  await joiner.unknown(second);
  assert.deepEqual(joiner.identity?.credential, first.credential);
  await joiner.unknown(second);
  assert.deepEqual(joiner.identity?.credential, first.credential, "what is said of another one is no matter");
  await joiner.unknown(joiner.identity!);
  assert.deepEqual(joiner.identity?.credential, second.credential);
});
