import assert from "node:assert/strict";
import { test } from "node:test";
import { kinds } from "#central/store/kinds.ts";
import { User } from "./user.ts";
import { World } from "./world.ts";

test("an agent whose disk was set back in place moves no port back into the network of its former tenant", async () => {
  const world = new World({ seed: 1, servers: [1] });
  const user = new User(world);
  const { home } = world;
  const [server] = home.servers;
  const desired = () => world.truth.get(kinds.machineDesired, server!.uuid)?.value;
  await world.begin();
  await world.run(180_000);
  await world.until(user.create(), 60_000);
  await world.run(600_000, () => server?.doing === "system, welcome");
  const copy = home.agentDisk.copy();
  await world.until(user.deleteAll(), 1_800_000);
  await world.run(600_000, () => desired()?.allocation === undefined && desired()?.release === undefined);
  assert.equal(desired()?.release, undefined);

  home.agent.kill();
  home.setDiskBack(copy, "the same");
  const heal = home.link.cut();
  await world.until(home.agent.start(), 60_000);
  await world.run(20_000);
  assert.equal(home.leaf.networkOf(server!.plan.port), "prov");
  assert.match(home.agent.agent?.site.safeMode.why ?? "", /the disk may have been set back/);
  heal();
  await world.run(60_000);
  assert.equal(world.invariants.violation, undefined);
  assert.equal(home.agent.agent?.site.safeMode.why, undefined);
});
