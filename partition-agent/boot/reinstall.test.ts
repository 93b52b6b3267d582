// A machine in use gets another operating system: what its installers may do, and what remains.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { recordEvent, stateOf } from "#domain/machine/lifecycle.ts";
import { portNetwork } from "#domain/machine/port-network.ts";
import { InstallService } from "#gen/holdfast/install/v1/install_pb.ts";
import { Format } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import {
  installed,
  macA,
  observed,
  openAgent,
  refusalOf,
  start,
  type TestAgent,
  type TestCentral,
  TestInstaller,
  uuidA,
} from "../testing/site.ts";
import { phoneHome } from "./phone-home.ts";
import { desiredOf } from "./site.ts";

const image = { id: "debian-13", url: "http://images/debian.tar.zst" };
const layout = {
  id: "two",
  disks: [{ device: "/dev/sda" }, { device: "/dev/sdb" }],
  filesystems: [
    { device: "/dev/sda1", format: Format.EXT4, path: "/" },
    { device: "/dev/sdb1", format: Format.EXT4, path: "/data" },
  ],
};
const allocation = { project: "p", hostname: "web", image, filesystemLayout: layout };

const order = (
  agent: TestAgent,
  central: TestCentral,
  reinstall: { number: number; aborted?: boolean; keeps?: boolean },
) => central.want(agent, { uuid: uuidA, partition: "p1", epoch: 2n, allocation, reinstall: { image, ...reinstall } });

/** In use, and then ordered to be installed anew. */
async function ordered() {
  const { agent, central } = await start();
  const { installer, home } = await installed(agent, central);
  assert.equal(await phoneHome(agent.site, home), "welcome");
  await order(agent, central, { number: 1 });
  // The reset by the reconciler.
  await agent.observations.update(uuidA, (m) => {
    m.events = recordEvent(m.events, Event.PLANNED_REBOOT, "", agent.clock.wallMs());
  });
  return { agent, central, former: installer, home };
}

const install = (agent: TestAgent) => createClient(InstallService, agent.transport);
const duty = async (agent: TestAgent, { headers }: TestInstaller) =>
  (await install(agent).duty({ uuid: uuidA }, { headers })).duty;
const overwrite = (agent: TestAgent, { headers }: TestInstaller, number = 1) =>
  install(agent).beginOverwrite({ uuid: uuidA, number }, { headers });

async function untilRegistered(agent: TestAgent) {
  const installer = await TestInstaller.boots(agent, uuidA, macA);
  await installer.event(Event.PREPARING);
  const told = await duty(agent, installer);
  await installer.event(Event.REGISTERING);
  await installer.register();
  return { installer, told };
}

test("a free machine's installer is told to wipe, one that is to reinstall which disks to overwrite, and by what all are known", async () => {
  const { agent } = await start();
  const first = await TestInstaller.boots(agent, uuidA, macA);
  await first.event(Event.PREPARING);
  assert.equal((await duty(agent, first)).case, "wipe");
  const { agent: used } = await ordered();
  const { told } = await untilRegistered(used);
  assert.ok(told.case === "reinstall");
  assert.deepEqual([told.value.number, told.value.overwrite], [1, ["/dev/sda"]]);
  assert.deepEqual(
    told.value.disks.map((d) => `${d.device} ${d.serial} ${d.sizeBytes}`),
    ["/dev/sda s1 1"],
  );
  assert.equal(told.value.allocation?.filesystemLayout?.id, "two");
});

test("it goes from registration to installation without a wipe, phones home by the same token, and is in use again", async () => {
  const { agent, home } = await ordered();
  assert.equal(portNetwork(desiredOf(agent.site, uuidA), observed(agent, uuidA)), "provisioning");
  const { installer } = await untilRegistered(agent);
  await installer.event(Event.INSTALLING);
  const { phoneHomeUrl } = await installer.plan();
  assert.equal(new URL(phoneHomeUrl).searchParams.get("token"), home);
  await overwrite(agent, installer);
  await assert.rejects(phoneHome(agent.site, home), /never reported to be installed to its end/);
  await installer.succeeded();
  await installer.event(Event.BOOTING_NEW_KERNEL);
  assert.equal(await phoneHome(agent.site, home), "welcome");
  const m = observed(agent, uuidA);
  assert.deepEqual([m.phonedHomeEpoch, m.installations, m.reinstall?.installed], [2n, 1, 1]);
  assert.equal(m.events?.lastErrorEvent, undefined);
  assert.equal(stateOf(m.events), Event.PHONED_HOME);
  assert.deepEqual(await agent.script(macA, uuidA), { kind: "disk" });
});

test("an installer that does not ask what to keep is not registered, and a wipe is not taken from any", async () => {
  const { agent } = await ordered();
  const installer = await TestInstaller.boots(agent, uuidA, macA);
  await installer.event(Event.PREPARING);
  assert.match(await refusalOf(installer.register()), /^KEEPS_DISKS: .*does not ask which disks to keep/);
  await duty(agent, installer);
  await installer.register();
  assert.match(await refusalOf(installer.wiped()), /^KEEPS_DISKS/);
  assert.match(await refusalOf(installer.wait()), /^NOT_WIPED/);
});

test("before an order is begun the old system lives on; what installs for an older order is turned away", async () => {
  const { agent, central, former, home } = await ordered();
  assert.equal(await phoneHome(agent.site, home), "welcome");
  assert.match(await refusalOf(former.step("late")), /^STALE_REINSTALL/);
  const { installer } = await untilRegistered(agent);
  await order(agent, central, { number: 2 });
  assert.match(await refusalOf(overwrite(agent, installer)), /^STALE_REINSTALL/);
  const { installer: second } = await untilRegistered(agent);
  assert.match(await refusalOf(overwrite(agent, second, 1)), /^STALE_REINSTALL/);
  await overwrite(agent, second, 2);
});

test("an abort in time boots the old system: the installer may not begin, and the system is welcome", async () => {
  const { agent, central, home } = await ordered();
  const { installer } = await untilRegistered(agent);
  await order(agent, central, { number: 1, aborted: true });
  assert.match(await refusalOf(overwrite(agent, installer)), /^REINSTALL_ABORTED/);
  assert.deepEqual(await agent.script(macA, uuidA), { kind: "disk" });
  assert.equal(await phoneHome(agent.site, home), "welcome");
});

test("an abort that comes after the first byte changes nothing: it is reinstalled to its end, also by the next boot", async () => {
  const { agent, central } = await ordered();
  const { installer } = await untilRegistered(agent);
  assert.match(await refusalOf(installer.succeeded()), /^NOT_BEGUN/);
  await overwrite(agent, installer);
  await order(agent, central, { number: 1, aborted: true });
  const { installer: second, told } = await untilRegistered(agent);
  assert.equal(told.case, "reinstall");
  await overwrite(agent, second);
  await second.succeeded();
  assert.deepEqual(await agent.script(macA, uuidA), { kind: "disk" });
});

test("whatever happens between two steps, the next boot keeps the disks: the agent restarts, central is away or has forgotten the order", async () => {
  const { agent, central } = await ordered();
  const { installer } = await untilRegistered(agent);
  await overwrite(agent, installer);
  const restarted = await openAgent({ disk: agent.disk, clock: agent.clock, cache: agent.cache });
  assert.equal((await untilRegistered(restarted)).told.case, "reinstall");
  await central.want(restarted, { uuid: uuidA, partition: "p1", epoch: 2n, allocation });
  assert.equal((await untilRegistered(restarted)).told.case, "reinstall");
  await restarted.observations.update(uuidA, (m) => {
    m.installedEpoch = 0n;
  });
  await order(restarted, central, { number: 2, keeps: true });
  assert.equal((await untilRegistered(restarted)).told.case, "reinstall");
});

test("a release ends it: the installer of the reinstallation is turned away, and the next one wipes", async () => {
  const { agent, central } = await ordered();
  const { installer } = await untilRegistered(agent);
  await central.free(agent, uuidA, 3n);
  assert.match(await refusalOf(overwrite(agent, installer)), /^STALE_EPOCH/);
  const next = await TestInstaller.boots(agent, uuidA, macA);
  await next.event(Event.PREPARING);
  assert.equal((await duty(agent, next)).case, "wipe");
});
