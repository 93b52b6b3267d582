import assert from "node:assert/strict";
import { test } from "node:test";
import { kinds } from "#central/store/kinds.ts";
import { Seeded } from "#lib/seeded.ts";
import { setBack } from "./set-back.ts";
import { acceptHistory, User } from "./user.ts";
import { World } from "./world.ts";

test("a restored central gives no machine away that it holds for free, until the agent has told what it sees", async () => {
  const world = new World({ seed: 1, servers: [1] });
  const user = new User(world);
  const { home } = world;
  const [server] = home.servers;
  const allocation = () => world.truth.get(kinds.machineDesired, server!.uuid)?.value.allocation;
  const create = () => world.until(user.create(), 60_000);
  await world.begin();
  await world.run(180_000);
  const backup = home.central.store.backup();
  await create();
  await world.run(180_000, () => server?.doing === "system, welcome");
  const heal = home.link.cut();
  await world.until(setBack(world, backup), 60_000);

  await world.run(60_000);
  await assert.rejects(create(), /the store was restored, and the agent has not yet reported everything again/);
  assert.equal(allocation(), undefined);

  heal();
  await world.until(acceptHistory(home, new Seeded(1)), 600_000);
  await world.run(60_000);
  await assert.rejects(create(), /no machine of size small can be had .* 1 machines 1 not waiting/);
  assert.equal(server?.disk.epoch, 2n);
  assert.equal(world.invariants.violation, undefined);
});
