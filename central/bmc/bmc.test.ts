// The daemon that talks to BMCs, in a partition without an agent.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { type Client, Code } from "@connectrpc/connect";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { InfraRole, MachineRole } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  MachineBMCCommand as Command,
  MachineProvisioningEventType as Event,
  MachineService,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { BMCService, type WaitForBMCCommandResponse } from "#gen/metalstack/infra/v2/bmc_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { kinds } from "../store/kinds.ts";
import { first, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { until } from "../testing/until.ts";

const uuid = machineUuid(1);
const canary = "canary-of-a-password";
const bmc = { address: "10.9.0.1:623", mac: "52:54:00:00:01:01", user: "root", password: canary, powerState: "ON" };

let central: MachineCentral;
let infra: string;
let daemon: Client<typeof BMCService>;
let admin: Client<typeof AdminMachineService>;
beforeEach(async () => {
  central = await machineCentral();
  infra = await central.tokenFor("daemons", { infraRole: InfraRole.EDITOR });
  daemon = central.client(BMCService, infra);
  admin = central.client(AdminMachineService);
});
afterEach(() => central.close());

const update = (...uuids: string[]) =>
  daemon.updateBMCInfo({ partition: "lab", bmcReports: uuids.map((id) => ({ uuid: id, bmc })) });
const order = (bmcCommand: Command) => admin.bMCCommand({ uuid, command: bmcCommand });
const outcomes = () => central.state.get(kinds.machineObserved, uuid)?.value.outcomes ?? [];

/** What a new stream is sent at once. */
async function sent(count: number): Promise<WaitForBMCCommandResponse[]> {
  const stop = new AbortController();
  const got = await first(daemon.waitForBMCCommand({ partition: "lab" }, { signal: stop.signal }), count);
  stop.abort();
  return got;
}

/** Up to the phone-home, by an installer that speaks to central. */
async function installed() {
  const boot = central.client(
    BootService,
    await central.tokenFor("i", { machineRoles: { [uuid]: MachineRole.EDITOR } }),
  );
  const nics = [{ mac: "52:54:00:00:00:01", name: "eth0" }];
  await boot.register({
    uuid,
    partition: "lab",
    hardware: { memory: 1n, cpus: [{ model: "any", cores: 2 }], nics },
    bmc,
  });
  await central.client(EventService, infra).send({ events: { [uuid]: { event: Event.WAITING } } });
  const stop = new AbortController();
  const allocation = first(boot.wait({ uuid }, { signal: stop.signal }), 1);
  await until("it waits", () => central.state.get(kinds.machineObserved, uuid)?.value.waiting === true);
  await central.create();
  await allocation;
  await boot.installationSucceeded({ uuid, consolePassword: "geheim" });
}

test("a report makes unknown machines known, renews the others, and its password is shown to nobody", async () => {
  const other = machineUuid(2);
  const firstTime = await update(uuid);
  assert.deepEqual([firstTime.createdMachines, firstTime.updatedMachines], [[uuid], []]);
  const again = await daemon.updateBMCInfo({
    partition: "lab",
    bmcReports: [
      { uuid: other, bmc },
      {
        uuid,
        bmc: { ...bmc, powerState: "OFF" },
        powerMetric: { averageConsumedWatts: 90 },
        powerSupplies: [{ health: "OK" }],
      },
    ],
  });
  assert.deepEqual([again.createdMachines, again.updatedMachines], [[other], [uuid]]);
  const { bmcDetails } = await admin.getBMC({ uuid });
  const report = bmcDetails?.bmcReport;
  assert.deepEqual(
    [report?.bmc?.powerState, report?.bmc?.user, report?.bmc?.password, report?.powerMetric?.averageConsumedWatts],
    ["OFF", "", "", 90],
  );
  assert.equal(report?.powerSupplies[0]?.health, "OK");
  assert.deepEqual(central.state.get(kinds.bmcAccess, uuid)?.value.password, canary);
});

test("a machine of another partition is left as it is", async () => {
  await update(uuid);
  const next = { ...central.desired(uuid), partition: "far" };
  await central.state.transact((tx) => tx.put(kinds.machineDesired, uuid, next));
  const answer = await daemon.updateBMCInfo({
    partition: "lab",
    bmcReports: [{ uuid, bmc: { ...bmc, address: "10.9.0.9:623" } }],
  });
  assert.deepEqual([answer.createdMachines, answer.updatedMachines], [[], []]);
  assert.equal(central.state.get(kinds.machineObserved, uuid)?.value.bmc?.address, bmc.address);
});

test("an order reaches the daemon with what it takes to log in, again on every new stream until it is done", async () => {
  await update(uuid);
  const stop = new AbortController();
  const live = daemon.waitForBMCCommand({ partition: "lab" }, { signal: stop.signal })[Symbol.asyncIterator]();
  const next = live.next();
  await order(Command.MACHINE_BMC_COMMAND_CYCLE);
  const { value: got } = (await next) as { value: WaitForBMCCommandResponse };
  assert.deepEqual(
    [got.uuid, got.bmcCommand, got.machineBmc?.address, got.machineBmc?.user, got.machineBmc?.password],
    [uuid, Command.MACHINE_BMC_COMMAND_CYCLE, bmc.address, "root", canary],
  );
  const [again] = await sent(1);
  assert.equal(again?.commandId, got.commandId);
  await daemon.bMCCommandDone({ commandId: got.commandId });
  await daemon.bMCCommandDone({ commandId: got.commandId });
  assert.deepEqual(central.desired(uuid).orders, []);
  assert.deepEqual(
    outcomes().map((o) => [o.error, o.order?.command]),
    [["", Command.MACHINE_BMC_COMMAND_CYCLE]],
    "told twice it is done once, and stays to be read as the order that it was",
  );
  stop.abort();
  await assert.rejects(live.next());
});

test("an order that failed says why and is not given again, nor is one whose deadline has passed", async () => {
  await update(uuid);
  await order(Command.MACHINE_BMC_COMMAND_RESET);
  const [reset] = await sent(1);
  await daemon.bMCCommandDone({ commandId: reset!.commandId, error: "no route to host" });
  assert.deepEqual(
    outcomes().map((o) => o.error),
    ["no route to host"],
  );
  await order(Command.MACHINE_BMC_COMMAND_OFF);
  central.clock.advance(2 * 60_000 + 1);
  await order(Command.MACHINE_BMC_COMMAND_ON);
  const [only] = await sent(1);
  assert.equal(only?.bmcCommand, Command.MACHINE_BMC_COMMAND_ON);
  for (const commandId of ["", "x", `${uuid}/nothing`, `${uuid}/machine-deleted.99`, `${machineUuid(9)}/x`])
    await assert.rejects(daemon.bMCCommandDone({ commandId }), refusedWith(Code.NotFound, /./), commandId);
});

test("an installed machine is told to boot from disk, a released one to begin anew, each until it has been done once", async () => {
  await installed();
  const { epoch } = central.desired(uuid);
  const [created] = await sent(1);
  assert.deepEqual(
    [created?.bmcCommand, created?.commandId],
    [Command.MACHINE_BMC_COMMAND_MACHINE_CREATED, `${uuid}/machine-created.${epoch}`],
  );
  await daemon.bMCCommandDone({ commandId: created!.commandId });
  assert.equal(central.state.get(kinds.machineObserved, uuid)?.value.diskBootEpoch, epoch);
  await central.client(MachineService).delete({ uuid, project: central.project });
  const [deleted] = await sent(1);
  assert.equal(deleted?.bmcCommand, Command.MACHINE_BMC_COMMAND_MACHINE_DELETED);
  await daemon.bMCCommandDone({ commandId: deleted!.commandId, error: "BMC is busy" });
  assert.equal((await sent(1))[0]?.commandId, deleted?.commandId, "what central itself wants is tried again");
  await daemon.bMCCommandDone({ commandId: deleted!.commandId });
  await order(Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON);
  assert.equal((await sent(1))[0]?.bmcCommand, Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON, "nothing else is due");
});

test("where an agent reports, it alone has to do with BMCs", async () => {
  const stop = new AbortController();
  const live = daemon.waitForBMCCommand({ partition: "lab" }, { signal: stop.signal })[Symbol.asyncIterator]();
  const ended = live.next();
  ended.catch(() => undefined);
  await update(uuid);
  await central.report();
  await order(Command.MACHINE_BMC_COMMAND_ON);
  await assert.rejects(ended, refusedWith(Code.FailedPrecondition, /has an agent/));
  await assert.rejects(update(uuid), refusedWith(Code.FailedPrecondition, /has an agent/));
  await assert.rejects(sent(1), refusedWith(Code.FailedPrecondition, /has an agent/));
  await assert.rejects(
    first(daemon.waitForBMCCommand({ partition: "mars" }), 1),
    refusedWith(Code.NotFound, /partition mars/),
  );
});
