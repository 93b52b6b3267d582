// The life of a machine as its installer and its system see the agent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { eventName } from "#domain/machine/lifecycle.ts";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ConsolePasswordSchema } from "#gen/holdfast/state/v1/secret_pb.ts";
import { ReportEntrySchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { MachineProvisioningEventType as Event, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { HeldDisk } from "../testing/held-disk.ts";
import {
  installed,
  macA,
  macB,
  observed,
  openAgent,
  refusalOf,
  settle,
  start,
  type TestAgent,
  TestCentral,
  TestInstaller,
  until,
  untilWiped,
  uuidA,
  uuidB,
  waiting,
  waitingAgain,
} from "../testing/site.ts";
import { phoneHome } from "./phone-home.ts";

/** A new disk, but for a key of tokens that is no other agent's. */
async function diskWithKey(byte: number): Promise<HeldDisk> {
  const disk = new HeldDisk();
  await disk.write([{ table: "secret", key: "boot-token-key", value: new Uint8Array(32).fill(byte) }]);
  return disk;
}

const eventsOf = (agent: TestAgent, uuid = uuidA) =>
  observed(agent, uuid).events?.events.map((e) => eventName(e.event));

test("an unknown machine is taken in, waits, is installed and phones home", async () => {
  const { agent, central } = await start();
  const installer = await TestInstaller.boots(agent, uuidA, macA, "");
  await untilWiped(installer);
  await central.free(agent, uuidA, 1n);
  const allocation = installer.wait();
  await until("waiting", () => observed(agent, uuidA).waiting);
  assert.equal(observed(agent, uuidA).firmware, "efi");
  await central.allocate(agent, uuidA, 2n);
  assert.equal(await allocation, "host-of-epoch-2");
  await installer.event(Event.INSTALLING);
  assert.match(await refusalOf(installer.plan()), /FILE_NOT_AT_HAND.*is being fetched/);
  await settle();
  const plan = await installer.plan();
  assert.equal(plan.epoch, 2n);
  assert.equal(plan.imageUrl, `http://10.0.0.1:8080/files/${plan.imageSha256}`);
  assert.equal(plan.kernelCommandline, "console=ttyS0 quiet");
  await installer.succeeded();
  const told = agent.outbox.pending(100).find((e) => e.kind === "console-password");
  const {
    uuid: of,
    epoch,
    password,
  } = fromBinary(ConsolePasswordSchema, told?.value ?? assert.fail("nothing was told"));
  assert.deepEqual([of, epoch, password], [uuidA, 2n, "secret"]);
  await installer.event(Event.BOOTING_NEW_KERNEL);
  assert.equal(await phoneHome(agent.site, new URL(plan.phoneHomeUrl).searchParams.get("token") ?? ""), "welcome");
  const machine = observed(agent, uuidA);
  assert.deepEqual(
    [machine.installedEpoch, machine.phonedHomeEpoch, machine.installations, machine.waiting, machine.lastFailure],
    [2n, 2n, 1, false, ""],
  );
  assert.deepEqual(eventsOf(agent), [
    "PXE Booting",
    "Preparing",
    "Registering",
    "Waiting",
    "Installing",
    "Booting New Kernel",
    "Phoned Home",
  ]);
  assert.equal(machine.events?.lastErrorEvent, undefined);
  assert.deepEqual(await agent.script(macA, uuidA), { kind: "disk" });
});

test("a machine that fell silent does not wait any more, though nobody has ended its stream, and waits again when it is heard", async () => {
  const { agent, central } = await start();
  const { installer, allocation } = await waiting(agent, central);
  const stream = refusalOf(allocation);
  await agent.observations.update(uuidA, (m) => {
    m.liveliness = MachineLiveliness.DEAD;
  });
  agent.site.bell.ring();
  assert.match(await stream, /^SILENT: /);
  assert.equal(observed(agent, uuidA).waiting, false);
  await installer.event(Event.ALIVE);
  const again = installer.wait();
  await until("waiting again", () => observed(agent, uuidA).waiting);
  await central.allocate(agent, uuidA, 2n);
  assert.equal(await again, "host-of-epoch-2");
});

test("a known machine that is released is wiped and waits again, and nothing of its past life counts", async () => {
  const { agent, central } = await start();
  const { installer: former, home } = await installed(agent, central);
  await phoneHome(agent.site, home);
  await central.free(agent, uuidA, 3n);
  assert.match(await refusalOf(former.succeeded()), /STALE_EPOCH: the allocation of epoch 2 is over/);
  const { installer } = await waitingAgain(agent);
  assert.equal(observed(agent, uuidA).waiting, true);
  assert.equal(observed(agent, uuidA).wipedEpoch, 3n);
  assert.match(await refusalOf(former.event(Event.ALIVE)), /STALE_BOOT/);
  await installer.dies();
  await until("not waiting", () => !observed(agent, uuidA).waiting);
});

test("an installer's token speaks for its own machine only", async () => {
  const { agent, central } = await start();
  await waiting(agent, central, uuidB, macB);
  const { installer } = await waiting(agent, central);
  const before = observed(agent, uuidB);
  assert.match(await refusalOf(installer.event(Event.CRASHED, "", uuidB)), /STALE_BOOT/);
  assert.match(await refusalOf(installer.event(Event.PREPARING, "", uuidB)), /OTHER_MACHINE: the token is for machine/);
  assert.equal(observed(agent, uuidB), before);
  const known = await TestInstaller.boots(agent, uuidA, macA);
  assert.match(await refusalOf(known.event(Event.CRASHED, "", uuidB)), /OTHER_MACHINE/);
  assert.match(await refusalOf(known.event(Event.PREPARING, "", uuidB)), /OTHER_MACHINE: .*a server with the UUID/);
  assert.match(observed(agent, uuidA).lastFailure, new RegExp(`${macA}.*a server with the UUID ${uuidB} boots by it`));
  assert.equal(observed(agent, uuidB), before);
  const bare = installer.boot.wait({ uuid: uuidA })[Symbol.asyncIterator]().next();
  assert.match(await refusalOf(bare), /carries no bearer token/);
});

test("two lookups / reboot mid-run: a boot of the past is refused with the reason", async () => {
  const { agent, central } = await start();
  const { installer: first } = await waiting(agent, central);
  agent.clock.advance(1000);
  const second = await TestInstaller.boots(agent, uuidA, macA);
  for (const call of [
    () => first.wiped(),
    () => first.register(),
    () => first.step("wipe"),
    () => first.event(Event.PREPARING),
    () => first.wait(),
  ]) {
    assert.match(await refusalOf(call()), /STALE_BOOT: machine .* has booted again since/);
  }
  assert.equal(observed(agent, uuidA).waiting, false);
  await untilWiped(second);
});

test("an allocation that was handed out and released is not mistaken for the next one", async () => {
  const { agent, central } = await start();
  const { installer, allocation } = await waiting(agent, central);
  await central.allocate(agent, uuidA, 2n);
  assert.equal(await allocation, "host-of-epoch-2");
  await central.free(agent, uuidA, 3n);
  await central.allocate(agent, uuidA, 4n);
  assert.match(await refusalOf(installer.event(Event.INSTALLING)), /STALE_EPOCH: the allocation of epoch 2 is over/);
  assert.match(await refusalOf(installer.plan()), /STALE_EPOCH/);
  assert.match(await refusalOf(installer.succeeded()), /STALE_EPOCH/);
  assert.equal(observed(agent, uuidA).installedEpoch, 0n);
});

test("one disk cannot be wiped: the machine never becomes available, and its status names the disk", async () => {
  const { agent, central } = await start();
  const installer = await TestInstaller.boots(agent, uuidA, macA);
  await installer.event(Event.PREPARING);
  await installer.event(Event.REGISTERING);
  await installer.register();
  await installer.wiped("Input/output error");
  assert.equal(observed(agent, uuidA).lastFailure, "wipe: /dev/sda: Input/output error");
  // Whatever it says after that.
  await installer.event(Event.WAITING);
  await central.allocate(agent, uuidA, 2n);
  const allocation = installer.wait();
  allocation.catch(() => {});
  await settle();
  assert.equal(observed(agent, uuidA).waiting, false);
  assert.equal(observed(agent, uuidA).workedEpoch, 0n, "the allocation was not handed out");
  await installer.dies();
});

test("a wipe of an earlier boot does not make the next one available", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const installer = await TestInstaller.boots(agent, uuidA, macA);
  await installer.event(Event.PREPARING);
  await installer.event(Event.REGISTERING);
  await installer.event(Event.WAITING);
  void installer.wait().catch(() => {});
  await settle();
  assert.equal(observed(agent, uuidA).waiting, false);
  await installer.dies();
});

test("a repeated InstallationSucceeded counts once", async () => {
  const { agent, central } = await start();
  const { installer } = await installed(agent, central);
  await installer.succeeded();
  await installer.succeeded();
  assert.equal(observed(agent, uuidA).installations, 1);
});

test("last report lost (kexec/reboot): the system's phone-home completes the life", async () => {
  const { agent, central } = await start();
  const { home } = await installed(agent, central);
  await agent.observations.update(uuidA, (m) => {
    m.events?.events.pop();
  });
  await phoneHome(agent.site, home);
  assert.deepEqual(eventsOf(agent)?.slice(-3), ["Installing", "Booting New Kernel", "Phoned Home"]);
});

test("a system whose installation was never reported to its end is not at home: it stays silent, and is installed again", async () => {
  const { agent, central } = await start();
  const { home } = await installed(agent, central);
  await agent.observations.update(uuidA, (m) => {
    m.installedEpoch = 0n;
  });
  const { heardAt } = observed(agent, uuidA);
  await assert.rejects(phoneHome(agent.site, home), { reason: "NOT_INSTALLED" });
  assert.deepEqual(observed(agent, uuidA).heardAt, heardAt);
  assert.equal(observed(agent, uuidA).phonedHomeEpoch, 0n);
});

test("controller restarts in mid-step: nothing is lost, and the installer goes on where it was", async () => {
  const { agent, central } = await start();
  const { installer: before, allocation } = await waiting(agent, central);
  await central.allocate(agent, uuidA, 2n);
  await allocation;
  await before.event(Event.INSTALLING);
  const again = await openAgent({ disk: agent.disk, clock: agent.clock });
  assert.deepEqual(observed(again, uuidA), observed(agent, uuidA));
  assert.deepEqual(again.ledger.cursor, agent.ledger.cursor);
  assert.deepEqual(again.outbox.pending(100), agent.outbox.pending(100));
  const installer = before.at(again);
  await refusalOf(installer.plan());
  await settle();
  assert.equal((await installer.plan()).epoch, 2n);
  await installer.step("image");
  await installer.succeeded();
  assert.deepEqual([observed(again, uuidA).installedEpoch, observed(again, uuidA).installations], [2n, 1]);
  const third = await openAgent({ disk: agent.disk, clock: agent.clock });
  await installer.at(third).succeeded();
  assert.equal(observed(third, uuidA).installations, 1, "the report that was repeated to another life counts once");
});

test("the Wait stream resumes: a broken one is opened again, and an allocation made in between is there at once", async () => {
  const { agent, central } = await start();
  const { installer, allocation } = await waiting(agent, central);
  await installer.dies();
  await assert.rejects(allocation);
  await until("not waiting", () => !observed(agent, uuidA).waiting);
  await central.allocate(agent, uuidA, 2n);
  const wait = installer.boot.wait({ uuid: uuidA }, { headers: installer.headers })[Symbol.asyncIterator]();
  assert.equal((await wait.next()).value?.allocation?.hostname, "host-of-epoch-2");
  const repeated = installer.boot.wait({ uuid: uuidA }, { headers: installer.headers })[Symbol.asyncIterator]();
  assert.equal((await repeated.next()).value?.allocation?.hostname, "host-of-epoch-2");
});

test("the disk of the agent fails: the installer is not told that it was heard", async () => {
  const { agent, central } = await start();
  const { installer, allocation } = await waiting(agent, central);
  await central.allocate(agent, uuidA, 2n);
  await allocation;
  agent.disk.broken = new Error("no space left on device");
  await assert.rejects(installer.succeeded());
  assert.equal(observed(agent, uuidA).installedEpoch, 0n);
  agent.disk.broken = undefined;
  await installer.succeeded();
  assert.equal(observed(agent, uuidA).installedEpoch, 2n);
});

test("central never connected: machines wait with the reason, and boot when it comes", async () => {
  const agent = await openAgent();
  const script = await agent.script(macA);
  assert.equal(script.kind, "later");
  assert.match(script.kind === "later" ? script.why : "", /no boot configuration yet: nothing has come from central/);
  await new TestCentral().connect(agent);
  assert.equal((await agent.script(macA)).kind, "installer");
});

test("image not fully synced: the plan is unavailable with the reason, and comes when the cause is gone", async () => {
  const { agent, central } = await start();
  const { installer, allocation } = await waiting(agent, central);
  agent.cache.content.set("http://images/debian.tar.zst", new Error("sha256 abc: the content has def"));
  await central.allocate(agent, uuidA, 2n);
  await allocation;
  await refusalOf(installer.plan());
  await settle();
  assert.equal(await refusalOf(installer.plan()), "FILE_NOT_AT_HAND: sha256 abc: the content has def");
  assert.equal(agent.files.problem("http://images/debian.tar.zst"), "sha256 abc: the content has def");
  agent.cache.content.set("http://images/debian.tar.zst", "3".repeat(64));
  agent.clock.advance(5000);
  assert.match(await refusalOf(installer.plan()), /the content has def/);
  await settle();
  assert.equal((await installer.plan()).epoch, 2n);
});

test("a file that the cache has evicted is fetched again before it is handed out", async () => {
  const { agent } = await start();
  assert.equal((await agent.script(macA)).kind, "installer");
  agent.cache.evicted.add("1".repeat(64));
  assert.deepEqual(await agent.script(macA), { kind: "later", why: "http://boot/kernel is being fetched" });
  await settle();
  assert.equal((await agent.script(macA)).kind, "installer");
});

test("kernel, initrd and the images of allocations are needed, others are not", async () => {
  const { agent } = await start();
  agent.files.prefetch("http://images/debian.tar.zst");
  await settle();
  assert.equal(agent.files.isNeeded("1".repeat(64), []), true);
  assert.equal(agent.files.isNeeded("3".repeat(64), []), false);
  assert.equal(agent.files.isNeeded("3".repeat(64), ["http://images/debian.tar.zst"]), true);
  assert.equal(agent.files.isNeeded("4".repeat(64), [`http://images/x#sha256=${"4".repeat(64)}`]), true);
});

test("a phone-home of an allocation that is over is turned away, and is no sign of life", async () => {
  const { agent, central } = await start();
  const { home } = await installed(agent, central);
  await phoneHome(agent.site, home);
  const before = observed(agent, uuidA);
  await central.free(agent, uuidA, 3n);
  agent.clock.advance(60_000);
  assert.equal(await phoneHome(agent.site, home), "gone");
  const after = observed(agent, uuidA);
  assert.deepEqual([after.heardAt, after.phonedHomeEpoch], [before.heardAt, 2n]);
});

test("a phone-home that nothing is known of is to be tried again, not turned away", async () => {
  const agent = await openAgent();
  const { token } = await agent.site.tokens.forHome({ uuid: uuidA, epoch: 2n });
  await assert.rejects(phoneHome(agent.site, token), (e) => e instanceof Refusal && e.code === "unavailable");
  assert.equal(agent.observations.get(uuidA), undefined);
  await assert.rejects(phoneHome(agent.site, "garbage"), (e) => e instanceof Refusal && e.code === "unauthenticated");
});

test("a system that was installed before the agent lost its disk is welcome again by what central gives back", async () => {
  const { agent, central } = await start();
  const { home } = await installed(agent, central);
  const value = toBinary(MachineObservedSchema, observed(agent, uuidA));
  const bare = await openAgent({ disk: await diskWithKey(70) });
  await central.allocate(bare, uuidA, 2n);
  const isRefused = (e: unknown) => e instanceof Refusal && e.code === "unauthenticated";
  await assert.rejects(phoneHome(bare.site, home), isRefused);
  await bare.observations.recollect([create(ReportEntrySchema, { kind: "machine", id: uuidA, value })]);
  assert.equal(await phoneHome(bare.site, home), "welcome");
  // Whatever else claims to be that machine is not the token whose digest was told.
  const another = await openAgent({ disk: await diskWithKey(80) });
  const { token } = await another.site.tokens.forHome({ uuid: uuidA, epoch: 2n });
  await assert.rejects(phoneHome(bare.site, token), isRefused);
});

test("store wiped at the edge: an allocated machine of which no record is left is not installed over", async () => {
  const { agent, central } = await start();
  await central.allocate(agent, uuidA, 2n);
  const unknown = await TestInstaller.boots(agent, uuidA, macA, "");
  assert.match(await refusalOf(unknown.event(Event.PREPARING)), /UUID_IN_USE/);
});

test("a machine that works for somebody of whom the ledger knows nothing is not booted into the installer", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  const bare = await openAgent({ disk: agent.disk });
  const { history, revision } = bare.ledger.cursor;
  await bare.ledger.applySnapshot({ history, revision: revision + 1n }, []);
  const script = await bare.script(macA, uuidA);
  assert.deepEqual(script, {
    kind: "later",
    why: "waiting for central to say what the machine is for: it works for epoch 2, of which nothing is known here",
  });
});
