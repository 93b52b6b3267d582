// Switches: what people want of them, and the daemons of those in partitions without an agent.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code } from "@connectrpc/connect";
import { SwitchDesiredSchema } from "#gen/holdfast/state/v1/switch_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { InfraRole, OptimisticLockingStrategy as Lock, MachineRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { MachineProvisioningEventType as Event, MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import {
  SwitchPortStatus as Status,
  SwitchReplaceMode,
  type SwitchSchema,
  SwitchOSVendor as Vendor,
} from "#gen/metalstack/api/v2/switch_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { SwitchService } from "#gen/metalstack/infra/v2/switch_pb.ts";
import { kinds } from "../store/kinds.ts";
import { desiredItem, placesOf } from "../sync/projection.ts";
import { first, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { until } from "../testing/until.ts";

const uuid = machineUuid(1);
const server = { lockingStrategy: Lock.SERVER };
const cumulus = { vendor: Vendor.SWITCH_OS_VENDOR_CUMULUS, version: "5.9", metalCoreVersion: "v1" };
const sonic = { vendor: Vendor.SWITCH_OS_VENDOR_SONIC, version: "4.2", metalCoreVersion: "v1" };

let central: MachineCentral;
let daemon: Client<typeof SwitchService>;
let admin: Client<typeof AdminSwitchService>;
beforeEach(async () => {
  central = await machineCentral();
  daemon = central.client(SwitchService, await central.tokenFor("daemons", { infraRole: InfraRole.EDITOR }));
  admin = central.client(AdminSwitchService);
});
afterEach(() => central.close());

type SwitchInit = Omit<MessageInitShape<typeof SwitchSchema>, "$typeName">;
const leaf = (id: string, more: SwitchInit = {}): SwitchInit => ({
  id,
  partition: "lab",
  rack: "r1",
  room: "room1",
  description: "leaf of rack 1",
  replaceMode: SwitchReplaceMode.OPERATIONAL,
  managementIp: "10.1.0.1",
  os: cumulus,
  nics: ["swp1", "swp2"].map((name) => ({ name, identifier: name })),
  ...more,
});
const register = async (id: string, more?: SwitchInit) => (await daemon.register({ switch: leaf(id, more) })).switch;
const shown = async (id: string) => (await admin.get({ id })).switch ?? assert.fail(`${id} is not known`);
const at = async (id: string) => (await shown(id)).machineConnections.map((c) => `${c.nic?.name} ${c.machineId}`);

/** The machine registers with what its interfaces hear: `leaf1 swp1`. */
async function registerMachine(...heard: string[]) {
  const installer = await central.tokenFor("installer", { machineRoles: { [uuid]: MachineRole.EDITOR } });
  const boot = central.client(BootService, installer);
  const nics = heard.map((text, i) => {
    const [hostname = "", name = ""] = text.split(" ");
    return {
      mac: `52:54:00:00:00:0${i}`,
      name: `eth${i}`,
      neighbors: [{ hostname, name, identifier: name, mac: "02:00:00:00:00:01" }],
    };
  });
  await boot.register({ uuid, partition: "lab", hardware: { memory: 1n, cpus: [{ model: "any", cores: 2 }], nics } });
  return boot;
}

/** Registered, allocated and installed. */
async function installedMachine() {
  const boot = await registerMachine("leaf1 swp1", "leaf2 swp1");
  const events = central.client(EventService, await central.tokenFor("daemons", { infraRole: InfraRole.EDITOR }));
  await events.send({ events: { [uuid]: { event: Event.WAITING } } });
  const stop = new AbortController();
  const allocation = first(boot.wait({ uuid }, { signal: stop.signal }), 1);
  await until("it waits", () => central.state.get(kinds.machineObserved, uuid)?.value.waiting === true);
  await central.create();
  await allocation;
  await boot.installationSucceeded({ uuid, consolePassword: "geheim" });
}

describe("people", () => {
  test("change what is theirs of a switch, and a stale change is refused", async () => {
    await register("leaf1");
    const before = await shown("leaf1");
    const change = { id: "leaf1", description: "spare", managementUser: "ops", consoleCommand: "ssh console" };
    const { switch: after } = await admin.update({ ...change, updateMeta: server });
    assert.deepEqual(
      [after?.description, after?.managementUser, after?.consoleCommand, after?.managementIp, after?.meta?.generation],
      ["spare", "ops", "ssh console", "10.1.0.1", 1n],
    );
    const stale = { lockingStrategy: Lock.CLIENT, updatedAt: before.meta!.updatedAt! };
    await assert.rejects(
      admin.update({ ...change, updateMeta: stale }),
      refusedWith(Code.Aborted, /changed in the meantime/),
    );
    await register("leaf1", { description: "as the daemon says" });
    assert.equal((await shown("leaf1")).description, "spare", "a daemon that starts again overrules nobody");
  });

  test("switch ports on and off, one by one or by sending back what they read", async () => {
    await register("leaf1");
    const { switch: one } = await admin.port({ id: "leaf1", nicName: "swp1", status: Status.DOWN });
    assert.deepEqual(
      one?.nics.map((n) => n.state?.desired),
      [Status.DOWN, undefined],
    );
    const nics = structuredClone(one!.nics);
    nics[1]!.state = { $typeName: "metalstack.api.v2.NicState", desired: Status.UP, actual: Status.UNKNOWN };
    const { switch: both } = await admin.update({ id: "leaf1", updateMeta: server, nics });
    assert.deepEqual(
      both?.nics.map((n) => n.state?.desired),
      [Status.DOWN, Status.UP],
    );
    const port = { id: "leaf1", nicName: "swp1", status: Status.UNKNOWN };
    await assert.rejects(admin.port(port), refusedWith(Code.InvalidArgument, /only UP or DOWN/));
    await assert.rejects(
      admin.port({ ...port, status: Status.UP, nicName: "swp9" }),
      refusedWith(Code.NotFound, /no port swp9/),
    );
    await assert.rejects(
      admin.port({ ...port, status: Status.UP, id: "leaf9" }),
      refusedWith(Code.NotFound, /leaf9 does not exist/),
    );
    const bad: [typeof nics, RegExp][] = [
      [nics.slice(1), /port swp1 is on switch leaf1 and cannot be left out/],
      [[...nics, { ...nics[0]!, name: "swp3" }], /port swp3 is not on switch leaf1/],
      [[{ ...nics[0]!, vrf: "vrf7" }, nics[1]!], /swp1 of switch leaf1: vrf cannot be changed/],
    ];
    for (const [wrong, text] of bad)
      await assert.rejects(
        admin.update({ id: "leaf1", updateMeta: server, nics: wrong }),
        refusedWith(Code.InvalidArgument, text),
      );
  });

  test("delete a switch without machines, and by force one with", async () => {
    await register("leaf1");
    await register("leaf2");
    await registerMachine("leaf1 swp1", "leaf2 swp1");
    await assert.rejects(
      admin.delete({ id: "leaf1" }),
      refusedWith(Code.FailedPrecondition, /1 machines at its ports/),
    );
    await admin.delete({ id: "leaf1", force: true });
    await assert.rejects(admin.get({ id: "leaf1" }), refusedWith(Code.NotFound, /leaf1/));
    assert.equal(central.state.get(kinds.switchDesired, "leaf1"), undefined);
    await assert.rejects(admin.delete({ id: "leaf1" }), refusedWith(Code.NotFound, /leaf1/));
  });

  test("see which machines are at which ports, filtered by both", async () => {
    await register("leaf1");
    await register("leaf2");
    await registerMachine("leaf1 swp1", "leaf2 swp1");
    const { switchesWithMachines } = await admin.connectedMachines({ query: { id: "leaf2" } });
    assert.deepEqual(
      switchesWithMachines.map((s) => [s.id, s.rack, s.connections.map((c) => [c.nic?.name, c.machine?.uuid])]),
      [["leaf2", "r1", [["swp1", uuid]]]],
    );
    const others = await admin.connectedMachines({ machineQuery: { uuid: machineUuid(2) } });
    assert.deepEqual(
      others.switchesWithMachines.map((s) => s.connections.length),
      [0, 0],
    );
    assert.equal(
      central.state.get(kinds.machineObserved, uuid)?.value.rack,
      "r1",
      "a machine stands where its leaves do",
    );
    assert.equal(central.state.get(kinds.machineObserved, uuid)?.value.room, "room1");
  });

  test("forget a machine, and its ports are free", async () => {
    await register("leaf1");
    await register("leaf2");
    await registerMachine("leaf1 swp1", "leaf2 swp1");
    await central.state.transact((tx) => {
      const { value } = central.state.get(kinds.machineObserved, uuid)!;
      tx.put(kinds.machineObserved, uuid, { ...value, liveliness: 2 });
    });
    await central.client(AdminMachineService).delete({ uuid });
    assert.deepEqual([await at("leaf1"), await at("leaf2")], [[], []]);
  });
});

describe("a switch is exchanged", () => {
  test("for another under a new id: its machines and the wishes for its ports go over", async () => {
    await register("leaf1");
    await register("leaf2");
    await registerMachine("leaf1 swp2", "leaf2 swp2");
    await admin.port({ id: "leaf1", nicName: "swp2", status: Status.DOWN });
    await register("leaf3", {
      os: sonic,
      nics: ["Ethernet0", "Ethernet4"].map((name) => ({ name, identifier: name })),
    });
    await register("far", { rack: "r2" });
    await assert.rejects(
      admin.migrate({ oldSwitch: "leaf1", newSwitch: "far" }),
      refusedWith(Code.FailedPrecondition, /one rack/),
    );
    await assert.rejects(
      admin.migrate({ oldSwitch: "leaf1", newSwitch: "leaf2" }),
      refusedWith(Code.FailedPrecondition, /1 machines/),
    );
    await assert.rejects(
      admin.migrate({ oldSwitch: "leaf1", newSwitch: "leaf1" }),
      refusedWith(Code.InvalidArgument, /itself/),
    );
    await assert.rejects(
      admin.migrate({ oldSwitch: "leaf9", newSwitch: "leaf1" }),
      refusedWith(Code.NotFound, /leaf9/),
    );
    const { switch: next } = await admin.migrate({ oldSwitch: "leaf1", newSwitch: "leaf3" });
    assert.deepEqual(
      [next?.machineConnections.map((c) => c.nic?.name), next?.nics.map((n) => n.state?.desired)],
      [["Ethernet4"], [undefined, Status.DOWN]],
    );
    assert.deepEqual(await at("leaf1"), []);
    await registerMachine("leaf3 Ethernet4", "leaf2 swp2");
    assert.deepEqual([await at("leaf3"), await at("leaf2")], [[`Ethernet4 ${uuid}`], [`swp2 ${uuid}`]]);
  });

  test("under its id for one of another vendor, when it is to be replaced, and its twin knows the machines", async () => {
    await register("leaf1");
    await register("leaf2");
    await registerMachine("leaf1 swp1", "leaf2 swp1");
    const nics = [{ name: "Ethernet0", identifier: "Eth1" }];
    await assert.rejects(
      register("leaf1", { os: sonic, nics }),
      refusedWith(Code.FailedPrecondition, /another vendor now/),
    );
    await admin.update({ id: "leaf1", updateMeta: server, replaceMode: SwitchReplaceMode.REPLACE });
    const after = await register("leaf1", { os: sonic, nics });
    assert.deepEqual(
      [after?.replaceMode, after?.os?.vendor, await at("leaf1")],
      [SwitchReplaceMode.OPERATIONAL, sonic.vendor, [`Ethernet0 ${uuid}`]],
    );
    await admin.delete({ id: "leaf1", force: true });
    await register("leaf1", { os: sonic, nics });
    await admin.update({ id: "leaf1", updateMeta: server, replaceMode: SwitchReplaceMode.REPLACE });
    await register("leaf1", { os: sonic, nics });
    assert.deepEqual(await at("leaf1"), [`Ethernet0 ${uuid}`], "taken from its twin");
  });

  test("not for one that lacks a port with a machine, stands elsewhere or names a port twice", async () => {
    await register("leaf1");
    await register("leaf2");
    await registerMachine("leaf1 swp2", "leaf2 swp2");
    const port = { name: "swp1", identifier: "swp1" };
    const rows: [SwitchInit, Code, RegExp][] = [
      [{ nics: [port] }, Code.FailedPrecondition, /no port in the place of swp2/],
      [{ rack: "r7" }, Code.FailedPrecondition, /machines of rack r1/],
      [{ nics: [port, port] }, Code.InvalidArgument, /swp1 is named twice/],
      [{ partition: "mars" }, Code.NotFound, /partition mars/],
    ];
    for (const [more, code, text] of rows) await assert.rejects(register("leaf1", more), refusedWith(code, text));
    assert.deepEqual(await at("leaf1"), [`swp2 ${uuid}`]);
  });
});

describe("a switch's daemon", () => {
  test("is told the network of each port and what may be announced there, from installation to release", async () => {
    await register("leaf1");
    await register("leaf2");
    await installedMachine();
    const network = central.state.get(kinds.network, central.network)!.value;
    const { switch: s } = await daemon.get({ id: "leaf1" });
    assert.deepEqual(
      s?.nics.map((n) => [n.name, n.vrf, n.bgpFilter?.cidrs]),
      [
        ["swp1", `vrf${network.vrf}`, network.prefixes],
        ["swp2", undefined, undefined],
      ],
    );
    await central.client(MachineService).delete({ uuid, project: central.project });
    const { switch: after } = await daemon.get({ id: "leaf1" });
    assert.deepEqual(
      after?.nics.map((n) => n.vrf),
      [undefined, undefined],
    );
  });

  test("tells how its configuration went; a failure does not hide the last success", async () => {
    await register("leaf1");
    central.clock.advance(1000);
    const fine = await daemon.heartbeat({
      id: "leaf1",
      duration: { seconds: 2n },
      portStates: { swp1: Status.UP, swp7: Status.UP },
      bgpPortStates: { swp1: { neighbor: "m1", peerGroup: "MACHINE", vrfName: "vrf7", bgpState: 6 } },
    });
    assert.equal(fine.lastSyncError, undefined);
    central.clock.advance(1000);
    const bad = await daemon.heartbeat({ id: "leaf1", error: "frr did not reload" });
    assert.deepEqual([bad.lastSync?.duration?.seconds, bad.lastSyncError?.error], [2n, "frr did not reload"]);
    const { nics, meta } = await shown("leaf1");
    assert.deepEqual(
      nics.map((n) => [n.name, n.state?.actual, n.bgpPortState?.bgpState]),
      [
        ["swp1", Status.UP, 6],
        ["swp2", undefined, undefined],
      ],
    );
    assert.equal(meta?.generation, 0n, "what is seen is nobody's change");
    await assert.rejects(daemon.heartbeat({ id: "leaf9" }), refusedWith(Code.NotFound, /leaf9/));
  });

  test("speaks to the agent where there is one, which is told the wishes", async () => {
    await register("leaf1");
    await central.report();
    assert.ok(central.state.get(kinds.reportCursor, "lab"));
    for (const call of [
      () => daemon.get({ id: "leaf1" }),
      () => register("leaf1"),
      () => daemon.heartbeat({ id: "leaf1" }),
    ])
      await assert.rejects(call(), refusedWith(Code.FailedPrecondition, /has an agent/));
    await admin.port({ id: "leaf1", nicName: "swp1", status: Status.DOWN });
    const wanted = central.state.get(kinds.switchDesired, "leaf1")!;
    assert.equal(placesOf(kinds.switchDesired, "leaf1", wanted.value), "lab");
    const item = desiredItem(kinds.switchDesired, "leaf1", wanted.revision, wanted.value);
    assert.deepEqual(fromBinary(SwitchDesiredSchema, item.value).ports, { swp1: Status.DOWN });
  });
});
