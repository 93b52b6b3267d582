import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { AuditPhase } from "#gen/metalstack/api/v2/audit_pb.ts";
import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { pairing } from "../bmc/testing/pair.ts";
import { nodeBmcCrypto } from "../io/bmc-crypto.ts";
import { observed, openAgent, refusalOf, uuidA } from "../testing/site.ts";
import { agentWithMachine, alice, onSiteOf, ordered } from "./testing/on-site.ts";

const { MACHINE_BMC_COMMAND_OFF: off, MACHINE_BMC_COMMAND_RESET: reset } = Command;
const minuteMs = 60_000;
const quiet = () => new Promise<void>((resolve) => setImmediate(resolve));
const lives: AbortController[] = [];
afterEach(() => {
  for (const life of lives.splice(0)) life.abort(new Error("the test is over"));
});

/** A machine that waits in its installer, at epoch 1, its BMC on and found. */
async function place() {
  const pair = pairing(nodeBmcCrypto, quiet)();
  const { bmc, responder, clock, ends } = pair;
  const { agent, central } = await agentWithMachine(pair);
  const local = (of = agent) => {
    const life = onSiteOf(of, () => bmc);
    lives.push(life.stop);
    return life;
  };
  return { agent, central, responder, clock, ends, local };
}

test("an order of people on site is carried out once; the caller hears how it goes and how it ended", async () => {
  const { agent, responder, ends, local } = await place();
  const { client, live } = local();
  live();
  const heard = await ends(ordered(client, off, uuidA.slice(0, 8)));
  assert.deepEqual(responder.chassis.done, ["off"]);
  assert.equal(heard[0]?.outcome, undefined);
  assert.equal(heard[0]?.order?.issuedBy, "site:alice");
  assert.equal(heard.at(-1)?.outcome?.error, "");
  assert.equal(observed(agent, uuidA).outcomes.at(-1)?.id, heard[0]?.order?.id);
});

test("what people on site have switched off stays off, until they switch it on", async () => {
  const { agent, responder, clock, ends, local } = await place();
  const { client, live } = local();
  live();
  await ends(ordered(client, off));
  await ends(clock.sleep(30 * minuteMs));
  assert.deepEqual(responder.chassis.done, ["off"]);
  assert.equal(observed(agent, uuidA).progress?.why, "it was switched off by an order");
  await ends(ordered(client, Command.MACHINE_BMC_COMMAND_ON));
  assert.deepEqual(responder.chassis.done, ["off", "on"]);
});

test("a reset whose answer is lost is not repeated, and said to be perhaps done", async () => {
  const { responder, clock, ends, local } = await place();
  responder.lies.lostAnswersTo.set("0/2", 100);
  const { client, live } = local();
  live();
  const heard = await ends(ordered(client, reset));
  assert.match(heard.at(-1)?.outcome?.error ?? "", /may have been carried out/);
  await ends(clock.sleep(3 * minuteMs));
  assert.deepEqual(responder.chassis.done, ["reset"]);
});

test("a BMC that is dead until the deadline is named meanwhile, and gets nothing of the order when it answers again", async () => {
  const { responder, clock, ends, local } = await place();
  responder.lies.isMute = true;
  const { client, live } = local();
  live();
  const begunMs = clock.wallMs();
  const heard = await ends(ordered(client, reset));
  assert.ok(heard.some(({ why }) => /BMC bmc1:623: .*no answer/.test(why)));
  assert.match(heard.at(-1)?.outcome?.error ?? "", /its deadline .* has passed/);
  assert.ok(clock.wallMs() - begunMs < 3 * minuteMs);
  responder.lies.isMute = false;
  await ends(clock.sleep(minuteMs));
  assert.deepEqual(responder.chassis.done, []);
});

test("an order survives a restart of the agent, and is carried out within its deadline", async () => {
  const { agent, responder, ends, local } = await place();
  const dead = local();
  dead.stop.abort();
  await given(dead);
  const again = local(await openAgent(agent));
  assert.equal(again.orders.of(uuidA).length, 1);
  again.live();
  await ends(heardEnd(again));
  assert.deepEqual(responder.chassis.done, ["off"]);
});

test("what was ordered later is done later, also after a restart", async () => {
  const { agent, responder, clock, ends, local } = await place();
  const dead = local();
  dead.stop.abort();
  for (let i = 0; i < 6; i++) {
    await given(dead, i % 2 === 0 ? off : Command.MACHINE_BMC_COMMAND_ON);
    clock.advance(1000);
  }
  const again = local(await openAgent(agent));
  again.live();
  await ends(heardEnd(again, 6));
  assert.deepEqual(responder.chassis.done, ["off", "on", "off", "on", "off", "on"]);
});

test("an order that the agent finds on its disk after the deadline is refused, not carried out", async () => {
  const { agent, responder, clock, ends, local } = await place();
  const dead = local();
  dead.stop.abort();
  await given(dead);
  clock.advance(3 * 24 * 3_600_000);
  const again = local(await openAgent(agent));
  again.live();
  await ends(heardEnd(again));
  assert.match(again.audit.newest(1)[0]?.body ?? "", /its deadline .* has passed/);
  assert.deepEqual(responder.chassis.done, []);
});

/** Resolves when the order is durable. */
const given = ({ client }: ReturnType<typeof onSiteOf>, command: Command = off): Promise<unknown> =>
  client.orderBmc({ machine: uuidA, command }, alice)[Symbol.asyncIterator]().next();

/** Resolves when so many orders have ended. */
const heardEnd = async ({ audit, on }: ReturnType<typeof onSiteOf>, count = 1): Promise<void> => {
  const signal = new AbortController().signal;
  const ended = () => audit.newest(99).filter(({ phase }) => phase === AuditPhase.RESPONSE).length;
  while (ended() < count) await on.site.bell.wait(signal);
};

test("an order under an epoch that is over is refused", async () => {
  const { agent, central, responder, ends, local } = await place();
  const dead = local();
  dead.stop.abort();
  await given(dead);
  await central.free(agent, uuidA, 2n);
  const again = local(await openAgent(agent));
  again.live();
  await ends(heardEnd(again));
  assert.match(again.audit.newest(1)[0]?.body ?? "", /given under epoch 1, the machine is at 2/);
  assert.ok(!responder.chassis.done.includes("off"));
});

test("an order that nobody looks at has ended a minute after its deadline", async () => {
  const { clock, ends, local } = await place();
  const { client, orders, stop } = local();
  stop.abort();
  const own = new AbortController();
  lives.push(own);
  void orders.run(own.signal);
  const begunMs = clock.wallMs();
  const heard = await ends(ordered(client, off));
  assert.match(heard.at(-1)?.outcome?.error ?? "", /without anybody having looked at it/);
  assert.equal(Math.round((clock.wallMs() - begunMs) / minuteMs), 3);
});

test("what cannot be written down is not done", async () => {
  const { agent, responder, local } = await place();
  const { client, orders } = local();
  agent.disk.broken = new Error("no space left on device");
  const refused = await refusalOf(ordered(client, off));
  assert.match(refused, /^AUDIT_NOT_DURABLE: .*not done: no space left/);
  assert.deepEqual([orders.of(uuidA), responder.chassis.done], [[], []]);
});

test("a ninth open order of a machine is refused, and a machine without a BMC gets none; both are written down", async () => {
  const { agent, local } = await place();
  const life = local();
  const { client, audit } = life;
  life.stop.abort();
  for (let i = 0; i < 8; i++) await given(life);
  assert.match(await refusalOf(ordered(client, off)), /^ORDERS_FULL: /);
  await agent.observations.update(uuidA, (m) => {
    delete m.bmc;
  });
  assert.match(await refusalOf(ordered(client, off)), /^NO_BMC: /);
  assert.deepEqual(
    audit.newest(4).map(({ phase, resultCode }) => [phase, resultCode]),
    [
      [AuditPhase.RESPONSE, 9],
      [AuditPhase.REQUEST, undefined],
      [AuditPhase.RESPONSE, 8],
      [AuditPhase.REQUEST, undefined],
    ],
  );
});
