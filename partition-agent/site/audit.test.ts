import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { AuditPhase, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { hourMs } from "#lib/durations.ts";
import { silentLog } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { openAgent, type TestAgent } from "../testing/site.ts";
import { type Act, AuditTrail } from "./audit.ts";

const act = (id: string, text = ""): Act => ({
  id,
  user: "site:alice",
  address: "10.0.0.9",
  method: "/holdfast.site.v1.SiteService/RotateToken",
  body: { text },
});
const trailOf = ({ disk, outbox, clock }: TestAgent) => new AuditTrail({ disk, outbox, clock, log: silentLog });

test("an act has two traces of one id: before it is done, and after, with its result", async () => {
  const agent = await openAgent();
  const trail = trailOf(agent);
  const done = await trail.acting(act("a"), async () => {
    assert.deepEqual(
      trail.newest(9).map(({ phase }) => phase),
      [AuditPhase.REQUEST],
    );
    return "done";
  });
  assert.equal(done, "done");
  const refusal = new Refusal("precondition", "not now");
  await assert.rejects(
    trail.acting(act("b"), () => Promise.reject(refusal)),
    refusal,
  );
  assert.deepEqual(
    trail
      .newest(9)
      .map(({ uuid, phase, user, sourceIp, resultCode, body }) => [uuid, phase, user, sourceIp, resultCode, body]),
    [
      ["b", AuditPhase.RESPONSE, "site:alice", "10.0.0.9", 9, '{"text":"","error":"not now"}'],
      ["b", AuditPhase.REQUEST, "site:alice", "10.0.0.9", undefined, '{"text":""}'],
      ["a", AuditPhase.RESPONSE, "site:alice", "10.0.0.9", 0, '{"text":""}'],
      ["a", AuditPhase.REQUEST, "site:alice", "10.0.0.9", undefined, '{"text":""}'],
    ],
  );
});

test("what the trail tells of an internal error is not its text", async () => {
  const trail = trailOf(await openAgent());
  await assert.rejects(trail.acting(act("a"), () => Promise.reject(new Error("password is hunter2"))));
  assert.doesNotMatch(trail.newest(1)[0]?.body ?? "", /hunter2/);
});

test("the trail survives a restart and is in the outbox, trace by trace, in the order of acting", async () => {
  const agent = await openAgent();
  await trailOf(agent).acting(act("a"), async () => {});
  const again = await openAgent(agent);
  const trail = trailOf(again);
  assert.equal(trail.newest(9).length, 2);
  await trail.acting(act("b"), async () => {});
  const sent = again.outbox.pending(9).filter(({ kind }) => kind === "audit");
  assert.deepEqual(
    sent.map(({ value }) => fromBinary(AuditTraceSchema, value)).map(({ uuid, phase }) => `${uuid} ${phase}`),
    ["a 1", "a 2", "b 1", "b 2"],
  );
});

test("the oldest traces give way when the trail is as long as it may be, in bytes or in number", async () => {
  const agent = await openAgent();
  const trail = trailOf(agent);
  for (let i = 0; i < 5; i++) await trail.begun(act(`${i}`, "x".repeat(3 << 20)));
  const kept = (of: AuditTrail) => of.newest(99).map(({ uuid }) => uuid);
  assert.deepEqual(kept(trail), ["4", "3"]);
  assert.deepEqual(kept(trailOf(await openAgent(agent))), ["4", "3"]);
});

test("strangers who try again and again are written down within a bound, and take no room but each other's", async () => {
  const agent = await openAgent();
  const trail = trailOf(agent);
  const refusal = new Refusal("unauthenticated", "the call carries no token of this site");
  await trail.acting(act("a"), async () => {});
  const knocks = async (of: AuditTrail, address: string) => {
    for (let n = 0; n < 25; n++) await of.turnedAway({ ...act(`s${n}`), user: "", address }, refusal);
  };
  await knocks(trail, "10.0.0.1");
  assert.equal(trail.newest(999).length, 2 + 2 * 20);
  for (let hours = 0; hours < 10; hours++) {
    for (const address of ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]) await knocks(trail, address);
    agent.clock.advance(hourMs);
  }
  const again = trailOf(await openAgent(agent));
  for (const of of [trail, again]) {
    const kept = of.newest(9_999);
    assert.deepEqual([kept.length, kept.filter(({ user }) => user === "").length], [1_002, 1_000]);
  }
  await knocks(again, "10.0.0.1");
  assert.equal(again.newest(9_999).length, 1_002);
});

test("nothing is done when the disk does not take the first trace", async () => {
  const agent = await openAgent();
  agent.disk.broken = new Error("disk full");
  const never = () => assert.fail("it was done");
  await assert.rejects(trailOf(agent).acting(act("a"), never), { reason: "AUDIT_NOT_DURABLE", message: /disk full/ });
});
