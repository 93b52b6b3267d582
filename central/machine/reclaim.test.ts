import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { MachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
});
afterEach(() => central.close());

const uuid = machineUuid(1);
const works = {
  ...aWaiting(uuid),
  waiting: false,
  epoch: 4n,
  workedEpoch: 4n,
  installedEpoch: 4n,
  phonedHomeEpoch: 4n,
};
const reclaim = () => central.client(MachineService).reclaim({ uuid });
const refusal = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
    return "no refusal";
  } catch (error) {
    return error instanceof ConnectError ? error.rawMessage : String(error);
  }
};

test("a machine that works for an allocation of which nothing is known gets no record, so that nobody is given it", async () => {
  assert.deepEqual(await central.report(works), []);
  assert.equal(central.state.get(kinds.machineDesired, uuid), undefined);
  assert.equal(central.state.get(kinds.machineObserved, uuid)?.value.workedEpoch, 4n);
});

test("reclaiming it makes an epoch above all that its agent remembers, under which it is free", async () => {
  await central.report(works);
  assert.equal((await reclaim()).epoch, 5n);
  const desired = central.desired(uuid);
  assert.deepEqual([desired.epoch, desired.allocation], [5n, undefined]);
});

test("a machine that central believes free, at an older epoch than it works for, is reclaimed above that, too", async () => {
  await central.waiting(1);
  await central.report(works);
  assert.equal((await reclaim()).epoch, 5n);
});

test("an allocation's epoch is above all that the agent remembers", async () => {
  await central.waiting(1);
  await central.report({ ...aWaiting(uuid), reclaimedEpoch: 7n });
  await central.create();
  assert.equal(central.desired(uuid).epoch, 8n);
});

test("an allocated machine is released and not reclaimed, and one that was never seen is not there", async () => {
  assert.match(await refusal(reclaim()), /was never reported/);
  await central.waiting(1);
  await central.create();
  assert.match(await refusal(reclaim()), /is allocated to project .*: release it instead/);
});
