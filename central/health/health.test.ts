import assert from "node:assert/strict";
import { test } from "node:test";
import { clone } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { emptySpace, take } from "#domain/network/ipam.ts";
import { Service, ServiceStatus as Status } from "#gen/metalstack/api/v2/health_pb.ts";
import { ipamHealth } from "../network/health.ts";
import type { Fold } from "../store/cache.ts";
import { storeHealth } from "../store/health.ts";
import { type Kind, kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { deletionTaskId } from "../task/deletion.ts";
import { tasksHealth } from "../task/health.ts";
import { machineCentral } from "../testing/machines.ts";

test("the store is unhealthy while it is away, and degraded while something in it cannot be read", () => {
  const of = (away: string | undefined, unreadable: string[]) => storeHealth({ away, unreadable });
  assert.deepEqual(of(undefined, []), { name: Service.RETHINK, status: Status.HEALTHY, message: "" });
  assert.equal(of("no route to 10.0.0.1", []).status, Status.UNHEALTHY);
  assert.ok(!of("no route to 10.0.0.1", []).message?.includes("10.0.0.1"), "it is shown to everybody");
  assert.match(of(undefined, ["machine/1"]).message ?? "", /^1 stored values cannot be read/);
});

test("broken-off deletions degrade the tasks, and numbers that are used up the address management", async () => {
  const central = await machineCentral();
  const { state, clock } = central;
  assert.equal(tasksHealth(state, clock.wallMs()).status, Status.HEALTHY);
  const going = clone(kinds.image.schema, state.get(kinds.image, "debian-13.0.1")!.value);
  going.meta!.deletionTaskId = deletionTaskId(kinds.image, "debian-13.0.1");
  going.meta!.updatedAt = timestampFromMs(clock.wallMs());
  await state.transact((tx) => tx.put(kinds.image, "debian-13.0.1", going));
  assert.equal(tasksHealth(state, clock.wallMs()).status, Status.HEALTHY, "it may still go on");
  assert.match(tasksHealth(state, clock.wallMs() + 60_001).message ?? "", /^1 deletions were broken off/);

  assert.equal(ipamHealth(state).status, Status.HEALTHY);
  const all = take(emptySpace(32), { base: 0n, length: 0 });
  const full: Pick<State, "fold" | "folded"> = {
    fold: state.fold,
    folded: <K extends Kind, V, P>(_fold: Fold<K, V, P>) => all as V,
  };
  assert.match(ipamHealth(full).message ?? "", /^all VRFs are taken.*; all ASNs are taken/);
  await central.close();
});
