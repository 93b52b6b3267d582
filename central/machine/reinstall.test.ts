import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { MachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { MachineService as ApiMachineService, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid, type ObservedInit } from "../testing/machines.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
  await central.waiting(1);
  await central.create({ uuid });
});
afterEach(() => central.close());

const uuid = machineUuid(1);
const epoch = () => central.desired(uuid).epoch;
const inUse = (more: ObservedInit = {}): ObservedInit => ({
  ...aWaiting(uuid),
  waiting: false,
  epoch: epoch(),
  isolatedEpoch: epoch(),
  workedEpoch: epoch(),
  installedEpoch: epoch(),
  phonedHomeEpoch: epoch(),
  ...more,
});
const reinstall = (more: { image?: string; dryRun?: boolean; project?: string } = {}) =>
  central.client(MachineService, central.ownerToken).reinstall({ uuid, project: central.project, ...more });
const abort = () =>
  central.client(MachineService, central.ownerToken).abortReinstall({ uuid, project: central.project });
const refusal = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
    return "no refusal";
  } catch (error) {
    return error instanceof ConnectError ? error.rawMessage : String(error);
  }
};

test("an order keeps epoch, addresses and the layout's other disks, and says which disks are overwritten", async () => {
  await central.report(inUse());
  const before = central.desired(uuid);
  const { number, overwrittenDisks, keptDisks } = await reinstall();
  assert.deepEqual([number, overwrittenDisks, keptDisks], [1, ["/dev/sda"], []]);
  const after = central.desired(uuid);
  assert.equal(after.epoch, before.epoch);
  assert.deepEqual(after.allocation, before.allocation);
  assert.deepEqual([after.reinstall?.number, after.reinstall?.keeps], [1, true]);
});

test("a dry run changes nothing", async () => {
  await central.report(inUse());
  const before = central.desired(uuid);
  assert.equal((await reinstall({ dryRun: true })).number, 1);
  assert.deepEqual(central.desired(uuid), before);
});

test("it may be ordered in any state; what was never installed has nothing to keep", async () => {
  assert.equal((await reinstall()).number, 1);
  assert.equal(central.desired(uuid).reinstall?.keeps, false);
  await central.report(inUse({ reinstall: { epoch: epoch(), begun: 1, overwritten: 1 } }));
  assert.equal((await reinstall()).number, 2);
  assert.equal(central.desired(uuid).reinstall?.keeps, true);
});

test("an abort gives the former image back; the first one, when an order followed another", async () => {
  await central.report(inUse());
  const former = central.desired(uuid).allocation?.image?.id;
  await reinstall({ image: "debian-13" });
  await reinstall({ image: "debian-13" });
  await abort();
  const { allocation, reinstall: order } = central.desired(uuid);
  assert.deepEqual([allocation?.image?.id, order?.number, order?.aborted], [former, 2, true]);
  assert.match(await refusal(abort()), /is not being reinstalled/);
});

test("there is no way back once the old system was overwritten, or where there was none", async () => {
  assert.match(await refusal(abort()), /is not being reinstalled/);
  await reinstall();
  assert.match(await refusal(abort()), /had no system before/);
  await central.report(inUse({ reinstall: { epoch: epoch(), begun: 1, overwritten: 1 } }));
  assert.match(await refusal(abort()), /has begun to overwrite the old system, and goes on/);
  await central.report(inUse({ reinstall: { epoch: epoch(), begun: 1, overwritten: 1, installed: 1 } }));
  assert.match(await refusal(abort()), /is not being reinstalled/);
});

test("an abort that the agent heard of too late is taken back by its report", async () => {
  await central.report(inUse());
  await reinstall({ image: "debian-13" });
  await abort();
  await central.report(inUse({ reinstall: { epoch: epoch(), begun: 1, overwritten: 1 } }));
  assert.equal(central.desired(uuid).reinstall?.aborted, false);
});

test("it is refused of another project's machine, of a locked one, for an image that is not there, and without an agent", async () => {
  await central.report(inUse());
  const other = await central.newProject("other");
  assert.match(
    await refusal(central.client(MachineService).reinstall({ uuid, project: other })),
    /does not exist in project/,
  );
  assert.match(await refusal(reinstall({ image: "plan9" })), /image plan9/);
  const admin = central.client(AdminMachineService);
  await admin.setState({ uuid, state: MachineState.LOCKED, description: "mine" });
  assert.match(await refusal(reinstall()), /is locked: mine/);
});

test("a release ends the order", async () => {
  await central.report(inUse());
  await reinstall();
  await central.client(ApiMachineService).delete({ uuid, project: central.project });
  assert.equal(central.desired(uuid).reinstall, undefined);
});

test("Explain shows the order and how far it has come; a project is not told who gave it", async () => {
  await central.report(inUse({ reinstall: { epoch: epoch(), begun: 1 } }));
  await reinstall();
  const client = central.client(MachineService);
  const mine = await client.explain({ uuid, project: central.project });
  assert.deepEqual([mine.reinstall?.number, mine.reinstall?.orderedBy, mine.reinstallProgress?.begun], [2, "", 1]);
  assert.notEqual((await client.explain({ uuid })).reinstall?.orderedBy, "");
});
