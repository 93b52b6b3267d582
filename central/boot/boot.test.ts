// A partition without an agent of ours: its daemons and installers speak to central.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { MachineService as HoldfastMachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { InfraRole, MachineRole } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  MachineProvisioningEventType as Event,
  MachineProvisioningEventState as Flag,
  MachineService,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { kinds } from "../store/kinds.ts";
import { first, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { until } from "../testing/until.ts";

const uuid = machineUuid(1);
const mac = "52:54:00:00:00:01";
const minute = 60_000;

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
});
afterEach(() => central.close());

const infra = async () => await central.tokenFor("daemons", { infraRole: InfraRole.EDITOR });
const boot = async (of = uuid) =>
  central.client(BootService, await central.tokenFor("installer", { machineRoles: { [of]: MachineRole.EDITOR } }));
const observed = (of = uuid): MachineObserved =>
  central.state.get(kinds.machineObserved, of)?.value ?? assert.fail(`${of} is not known`);

const send = async (...events: Event[]) => {
  const client = central.client(EventService, await infra());
  for (const event of events) await client.send({ events: { [uuid]: { event } } });
};

const registration = (more = {}) => ({
  uuid,
  partition: "lab",
  hardware: { memory: 1n, cpus: [{ model: "any", cores: 2 }], nics: [{ mac, name: "eth0" }] },
  bmc: { address: "10.1.0.1:623", mac: "52:54:00:00:01:01", user: "root", password: "secret" },
  ...more,
});

/** Boots, registers and opens the stream; the first allocation resolves. */
async function waits() {
  const client = await boot();
  await client.register(registration());
  await send(Event.WAITING);
  const stop = new AbortController();
  const allocation = first(client.wait({ uuid }, { signal: stop.signal }), 1).then(([answer]) => answer?.allocation);
  allocation.catch(() => undefined);
  await until("it waits", () => observed().waiting);
  return { client, allocation, stop };
}

const refused = async (call: Promise<unknown>): Promise<string> => {
  const error = await call.then(
    () => assert.fail("it was not refused"),
    (e: unknown) => ConnectError.from(e),
  );
  return `${error.findDetails(ErrorInfoSchema)[0]?.reason}: ${error.rawMessage}`;
};

test("a machine lives a whole life by these calls alone, and its release gives everything back", async () => {
  const { client, allocation } = await waits();
  assert.equal(observed().size, "small");
  assert.deepEqual([observed().bmc?.user, observed().bmc?.password], ["", ""]);
  await central.create();
  assert.equal((await allocation)?.project, central.project);
  assert.equal(observed().waiting, false);
  await send(Event.INSTALLING);
  for (let i = 0; i < 2; i++) await client.installationSucceeded({ uuid, consolePassword: "geheim" });
  await send(Event.BOOTING_NEW_KERNEL, Event.PHONED_HOME);
  const admin = central.client(AdminMachineService);
  const wanted = { uuid, reason: "its network is gone" };
  assert.equal((await admin.consolePassword(wanted)).password, "geheim");
  const { epoch } = central.desired(uuid);
  const { installedEpoch, installations, phonedHomeEpoch, events } = observed();
  assert.deepEqual(
    [installedEpoch, installations, phonedHomeEpoch, events?.lastErrorEvent],
    [epoch, 1, epoch, undefined],
  );
  assert.match(await refused(client.register(registration())), /^MACHINE_INSTALLED: .*must boot from its disk$/);

  await central.client(MachineService).delete({ uuid, project: central.project });
  assert.match(await refused(admin.consolePassword(wanted)), /^NOT_INSTALLED: /);
  assert.equal(central.state.list(kinds.consolePassword).length, 0);
  await send(Event.PHONED_HOME);
  assert.equal(observed().events?.state, Flag.UNSPECIFIED);
  central.clock.advance(6 * minute);
  await send(Event.PHONED_HOME);
  assert.equal(observed().events?.state, Flag.FAILED_RECLAIM, "it still runs its old system");
  await send(Event.PXE_BOOTING, Event.PREPARING, Event.REGISTERING);
  const again = await waits();
  assert.equal(central.desired(uuid).release, undefined);
  await central.create();
  assert.ok(await again.allocation);
  assert.equal((await central.client(HoldfastMachineService).explain({ uuid })).epoch, epoch + 2n);
});

test("an allocation that is not installed yet is sent again at once, and the end of the stream ends the waiting", async () => {
  const { client, allocation, stop } = await waits();
  stop.abort();
  await assert.rejects(allocation);
  await until("it waits no more", () => !observed().waiting);
  const next = await waits();
  await central.create();
  const { uuid: sent } = (await next.allocation) ?? assert.fail("none came");
  const [again] = await first(client.wait({ uuid }), 1);
  assert.equal(again?.allocation?.uuid, sent);
});

test("a machine that booted again is not held for waiting by its former stream, and an installer of the past is told", async () => {
  const { client, allocation } = await waits();
  await central.client(BootService, await infra()).dhcp({ uuid, partition: "lab" });
  assert.match(await refused(allocation), /^STALE_BOOT: /);
  assert.equal(observed().waiting, false);
  assert.match(await refused(client.installationSucceeded({ uuid, consolePassword: "geheim" })), /^STALE_EPOCH: /);
});

test("where an agent reports, it alone writes what is seen, and the callers are told to whom to speak", async () => {
  await central.waiting(1);
  const before = observed();
  const daemons = await infra();
  const client = await boot();
  const place = { uuid, partition: "lab" };
  for (const call of [
    () => central.client(EventService, daemons).send({ events: { [uuid]: { event: Event.ALIVE } } }),
    () => central.client(BootService, daemons).dhcp(place),
    () => central.client(BootService, daemons).boot({ mac, partition: "lab" }),
    () => client.register(registration()),
    () => client.installationSucceeded({ uuid, consolePassword: "geheim" }),
    () => first(client.wait({ uuid }), 1),
  ])
    assert.match(await refused(call()), /^PARTITION_HAS_AGENT: partition lab .* send this call to the agent's address/);
  assert.deepEqual(observed(), before);
});

test("events count one by one: those of unknown machines are listed, the others are taken", async () => {
  await (await boot()).register(registration());
  const other = machineUuid(2);
  const client = central.client(EventService, await infra());
  const events = { [uuid]: { event: Event.CRASHED, message: "no disk" }, [other]: { event: Event.ALIVE } };
  const answer = await client.send({ events });
  assert.deepEqual([answer.events, answer.failed], [1n, [other]]);
  assert.equal(observed().lastFailure, "no disk");
  assert.deepEqual((await client.send({ events: { [other]: { event: Event.ALIVE } } })).failed, [other]);
});

test("what cannot be taken in is refused by name; anybody new is told what to boot", async () => {
  const client = await boot();
  assert.match(
    await refused(client.register(registration({ partition: "nowhere" }))),
    /partition nowhere is not known/,
  );
  await client.register(registration());
  const other = machineUuid(2);
  assert.match(await refused((await boot(other)).register(registration({ uuid: other }))), /^MAC_KNOWN_TWICE: /);
  assert.match(await refused((await boot(other)).register(registration())), /^ACCESS: /);
  const daemons = central.client(BootService, await infra());
  const unknown = { mac: "52:54:00:00:00:99", partition: "lab" };
  assert.match(await refused(daemons.boot(unknown)), /^NO_BOOT_CONFIGURATION: /);
  const bootConfiguration = { kernelUrl: "http://b/kernel", imageUrl: "http://b/initrd", commandline: "quiet" };
  await central.client(AdminPartitionService).create({ partition: { id: "bare", bootConfiguration } });
  const { kernel, initRamDisks, cmdline } = await daemons.boot({ ...unknown, partition: "bare" });
  assert.deepEqual([kernel, initRamDisks, cmdline], ["http://b/kernel", ["http://b/initrd"], "quiet"]);
  assert.equal((await client.superUserPassword({ uuid })).featureDisabled, true);
});
