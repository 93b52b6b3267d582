// What an agent's certificate decides, and what it does not: with the shipped joiner, authority and access, on virtual time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MachineBMCCommand } from "#gen/metalstack/api/v2/machine_pb.ts";
import { World } from "./world.ts";

const certificateMs = 600_000;
const minuteMs = 60_000;

async function joinedWorld() {
  const world = new World({ seed: 5, servers: [1], certificateMs });
  await world.begin();
  const { home } = world;
  const parts = () => home.agent.agent ?? assert.fail("the agent is not up");
  const link = () => parts().link.state;
  const comes = async (what: string, isSo: () => boolean) => {
    await world.run(10 * minuteMs, isSo);
    assert.ok(isSo(), `${what}: ${link().phase}, ${link().lastError}`);
    assert.equal(world.invariants.violation, undefined);
  };
  const follows = () => link().phase === "following";
  await comes("the link is up", follows);
  await comes("the machine waits", () => home.servers[0]?.power === "on");
  /** Somebody on site has the server switched. */
  const switches = async (command: MachineBMCCommand, to: "on" | "off") => {
    const order = async () => {
      const orders = home.agent.onSite(world.outside).orderBmc({ machine: home.servers[0]!.uuid, command });
      for await (const { outcome } of orders) if (outcome) return outcome.error;
      return "no outcome";
    };
    assert.equal(await world.until(order(), 5 * minuteMs), "");
    assert.equal(home.servers[0]?.power, to);
  };
  const worksOn = async () => {
    await switches(MachineBMCCommand.MACHINE_BMC_COMMAND_OFF, "off");
    await switches(MachineBMCCommand.MACHINE_BMC_COMMAND_ON, "on");
  };
  const doorkeeper = world.doorkeeper ?? assert.fail("nobody lets agents in");
  /** What is to be the same after another certificate. */
  const identity = () => ({ outbox: parts().outbox.id, history: parts().site.ledger.cursor.history });
  const revision = () => parts().site.ledger.cursor.revision;
  return { world, home, link, comes, follows, worksOn, doorkeeper, identity, revision };
}

test("an agent renews its certificate by the one before, and follows beyond the end of that", async () => {
  const { world, home, comes, follows, identity } = await joinedWorld();
  const [first, before] = [home.agent.certificate, identity()];
  await world.run(2 * certificateMs);
  await comes("the link is up", follows);
  assert.notDeepEqual(home.agent.certificate, first);
  assert.deepEqual(identity(), before);
});

test("a revocation ends the link within seconds and nothing else; a new join token brings the same agent back", async () => {
  const { world, home, link, comes, follows, worksOn, doorkeeper, identity, revision } = await joinedWorld();
  const [before, at] = [identity(), revision()];
  await world.until(doorkeeper.shutOut(home), minuteMs);
  const sinceMs = world.time.nowMs;
  await comes("the link ends", () => !follows());
  assert.ok(world.time.nowMs - sinceMs <= 10_000);
  await worksOn();
  assert.match(link().lastError ?? "", /was revoked at .*: the agent can join again with a new join token/);
  assert.deepEqual([identity(), revision()], [before, at]);
  await world.until(doorkeeper.letIn(home), minuteMs);
  await comes("it is let in", follows);
  assert.deepEqual(identity(), before);
});

test("a certificate that ends while the link is cut ends nothing else, also not over a restart of the agent", async () => {
  const { world, home, link, comes, follows, worksOn, doorkeeper, identity, revision } = await joinedWorld();
  const heal = home.link.cut();
  await world.run(2 * certificateMs);
  const [before, at] = [identity(), revision()];
  await worksOn();
  heal();
  await comes("it is refused", () => /expired/.test(link().lastError ?? ""));
  home.agent.kill();
  await world.until(Promise.resolve(home.agent.revive()), minuteMs);
  await worksOn();
  assert.ok(!follows());
  assert.deepEqual([identity(), revision()], [before, at]);
  await world.until(doorkeeper.letIn(home), minuteMs);
  await comes("it is let in", follows);
  assert.deepEqual(identity(), before);
});
