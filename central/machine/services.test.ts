import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create, enumToJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { asnTag, chassisTag, rackTag } from "#domain/machine/tags.ts";
import { MachineService as HoldfastMachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPService, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import {
  MachineBMCCommand as Command,
  MachineIssueSeverity,
  MachineIssueType,
  MachineIssueTypeSchema,
  MachineLiveliness,
  MachineService,
  MachineState,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid, sshKey } from "../testing/machines.ts";
import { inState } from "./set-state.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
});
afterEach(() => central.close());

const refusedWith =
  (code: Code, text = /./) =>
  (e: unknown) =>
    e instanceof ConnectError && e.code === code && text.test(e.message);
const user = () => central.client(MachineService);
const admin = () => central.client(AdminMachineService);
const uuid = machineUuid(1);
const mine = () => ({ uuid, project: central.project });
const server = { lockingStrategy: Lock.SERVER };
const notFound = refusedWith(Code.NotFound, /does not exist/);

describe("a project's machines", () => {
  test("are its own alone, to see and to change", async () => {
    await central.waiting(2);
    await assert.rejects(user().get(mine()), notFound, "free machines are nobody's");
    await central.create({ name: "web" });
    const other = await central.newProject("second");
    const theirs = { uuid, project: other };
    for (const call of [
      () => user().get(theirs),
      () => user().update({ ...theirs, updateMeta: server }),
      () => user().delete(theirs),
      () => user().getBMC(theirs),
      () => user().bMCCommand({ ...theirs, command: Command.MACHINE_BMC_COMMAND_ON }),
    ]) {
      await assert.rejects(call(), notFound);
    }
    assert.equal((await user().list({ project: other, query: {} })).machines.length, 0);
    const { machines } = await user().list({ project: central.project, query: { allocation: { name: "web" } } });
    assert.equal(machines.length, 1);
    assert.equal((await user().list({ project: central.project, query: { rack: "rack2" } })).machines.length, 0);
    assert.equal((await admin().list({ query: {} })).machines.length, 2);
    assert.equal((await admin().list({ query: { notAllocated: true } })).machines.length, 1);
    assert.equal((await admin().list({ query: {}, partition: "mars" })).machines.length, 0);
  });

  test("change under an optimistic lock, and keep the labels that are central's", async () => {
    await central.waiting(1, { fru: { chassisPartSerial: "C-1" } });
    const made = (await central.create({ labels: { labels: { a: "1" } } })).machine?.allocation?.meta;
    const stale = { lockingStrategy: Lock.CLIENT, updatedAt: made!.updatedAt! };
    const replace = {
      strategy: { case: "replace" as const, value: { labels: { b: "2", [asnTag]: "7", [chassisTag]: "C-2" } } },
    };
    const changed = { updateMeta: stale, description: "new", sshPublicKeys: [sshKey], labels: replace };
    const { allocation } = (await user().update({ ...mine(), ...changed })).machine!;
    assert.deepEqual(
      [allocation?.description, allocation?.sshPublicKeys, allocation?.meta?.labels?.labels],
      ["new", [sshKey], { b: "2", [rackTag]: "rack1", [chassisTag]: "C-1", [asnTag]: made?.labels?.labels[asnTag] }],
    );
    await assert.rejects(user().update({ ...mine(), updateMeta: stale }), refusedWith(Code.Aborted));
    const patch = { strategy: { case: "patch" as const, value: { remove: [asnTag] } } };
    const bad = { ...mine(), updateMeta: server };
    await assert.rejects(user().update({ ...bad, labels: patch }), refusedWith(Code.InvalidArgument, /by hand/));
    await assert.rejects(user().update({ ...bad, sshPublicKeys: ["ssh-rsa x"] }), refusedWith(Code.InvalidArgument));
    assert.deepEqual((await user().update(bad)).machine?.allocation?.sshPublicKeys, [sshKey], "none: left as they are");
  });
});

describe("a machine that is given back", () => {
  const ips = () => central.client(IPService);
  const anotherHas = async () => (await ips().list({ project: central.project, query: {} })).ips.map((ip) => ip.ip);

  test("is gone from the project at once, once", async () => {
    await central.waiting(1);
    const { machine } = await central.create();
    assert.equal((await user().delete(mine())).machine?.allocation?.uuid, machine?.allocation?.uuid);
    await assert.rejects(user().get(mine()), notFound);
    await assert.rejects(user().delete(mine()), notFound);
    assert.deepEqual([central.desired(uuid).epoch, central.desired(uuid).allocation], [3n, undefined]);
    const asns = () => central.state.list(kinds.claim).filter((c) => c.id.startsWith("asn/")).length;
    assert.equal(asns(), 1, "what runs there may still speak BGP with it");
    await central.report({ ...aWaiting(uuid), epoch: 3n, isolatedEpoch: 3n });
    assert.deepEqual([asns(), central.desired(uuid).release], [0, undefined]);
  });

  test("is not given back while it is locked", async () => {
    await central.waiting(1);
    await central.create();
    await admin().setState({ uuid, state: MachineState.LOCKED, description: "evidence" });
    await assert.rejects(user().delete(mine()), refusedWith(Code.FailedPrecondition, /locked: evidence/));
  });

  test("holds its addresses, and is nobody else's, until its port is seen isolated and its disks wiped", async () => {
    await central.waiting(1);
    await central.client(AdminNetworkService).create({
      id: "internet",
      type: NetworkType.EXTERNAL,
      prefixes: ["192.0.2.0/28"],
      vrf: 4711,
    });
    const fixed = { project: central.project, network: "internet", ip: "192.0.2.9", type: IPType.IP_TYPE_STATIC };
    await ips().create(fixed);
    await central.create({ networks: [{ network: central.network }, { network: "internet", ips: ["192.0.2.9"] }] });
    const ran = { ...aWaiting(uuid), installedEpoch: 2n, isolatedEpoch: 1n, epoch: 3n };
    await user().delete(mine());
    await central.report({ ...ran, isolatedEpoch: 2n });
    assert.deepEqual(await anotherHas(), ["10.0.0.2", "192.0.2.9"]);
    await assert.rejects(central.create(), refusedWith(Code.ResourceExhausted, /1 not isolated/));
    await central.report({ ...ran, isolatedEpoch: 3n });
    assert.deepEqual(await anotherHas(), ["192.0.2.9"]);
    const { ip } = await ips().get({ project: central.project, ip: "192.0.2.9" });
    assert.equal(ip?.meta?.labels?.labels[machineLabel], undefined);
    assert.equal(central.desired(uuid).release, undefined);
    await assert.rejects(
      central.create(),
      refusedWith(Code.ResourceExhausted, /1 not wiped/),
      "wiped before the tenant",
    );
    await central.report({ ...ran, isolatedEpoch: 3n, wipedEpoch: 3n });
    assert.equal((await central.create()).machine?.uuid, uuid);
  });
});

describe("an order to a BMC", () => {
  const order = (command: Command = Command.MACHINE_BMC_COMMAND_RESET) => user().bMCCommand({ ...mine(), command });
  const withBmc = { bmc: { address: "10.9.0.1", mac: "00:00:00:00:00:01", user: "root", password: "hidden" } };

  test("wants a BMC, and a command that is for callers", async () => {
    await central.waiting(1);
    await central.create();
    await assert.rejects(order(), refusedWith(Code.FailedPrecondition, /no known BMC/));
    await central.report({ ...aWaiting(uuid), ...withBmc });
    await assert.rejects(order(Command.MACHINE_BMC_COMMAND_MACHINE_DELETED), refusedWith(Code.InvalidArgument));
    await assert.rejects(order(Command.MACHINE_BMC_COMMAND_UNSPECIFIED), refusedWith(Code.InvalidArgument));
    const nobody = admin().bMCCommand({ uuid: machineUuid(9), command: Command.MACHINE_BMC_COMMAND_ON });
    await assert.rejects(nobody, notFound);
  });

  test("carries epoch, deadline and who gave it, and goes when its outcome is reported", async () => {
    await central.waiting(1, withBmc);
    await central.create();
    await order();
    const [given] = central.desired(uuid).orders;
    const deadlineMs = Number(given?.deadline?.seconds) * 1000;
    assert.deepEqual([given?.epoch, given?.issuedBy, deadlineMs], [2n, "admin", central.clock.wallMs() + 120_000]);
    await central.report({ ...aWaiting(uuid), ...withBmc, outcomes: [{ id: given!.id, error: "" }] });
    assert.equal(central.desired(uuid).orders.length, 0);
    const { bmcDetails } = await user().getBMC(mine());
    assert.deepEqual([bmcDetails?.bmcReport?.bmc?.address, bmcDetails?.bmcReport?.bmc?.password], ["10.9.0.1", ""]);
  });

  test("waits with at most seven others; those whose deadline has passed do not count", async () => {
    await central.waiting(1, withBmc);
    await central.create();
    for (let i = 0; i < 8; i++) await order();
    await assert.rejects(order(), refusedWith(Code.ResourceExhausted, /8 open orders/));
    central.clock.advance(121_000);
    await order();
    assert.equal(central.desired(uuid).orders.length, 1);
  });

  test("that is taken back, void or of an epoch that is over, stays to be read with what it had and what held then", async () => {
    await central.waiting(1, withBmc);
    await central.create();
    await order();
    central.clock.advance(121_000);
    await order();
    const explain = (project: string) => central.client(HoldfastMachineService).explain({ uuid, project });
    const [late] = (await explain(mine().project)).outcomes;
    assert.match(late?.error ?? "", /its deadline .* has passed, it was /);
    assert.deepEqual([late?.order?.epoch, late?.epoch, late?.order?.issuedBy], [2n, 2n, ""]);
    await user().delete(mine());
    const [again, stale] = (await explain("")).outcomes;
    assert.deepEqual([again?.id, again?.order?.issuedBy], [late?.id, "admin"]);
    assert.match(stale?.error ?? "", /given under epoch 2, the machine is at 3/);
    await central.report({ ...aWaiting(uuid), ...withBmc, outcomes: [{ id: stale!.id, error: "" }] });
    assert.deepEqual(
      (await explain("")).outcomes.map(({ id, error }) => [id, error === ""]),
      [
        [late?.id, false],
        [stale?.id, true],
      ],
      "the agent's word counts",
    );
  });
});

describe("administrators", () => {
  test("hold a machine back with a reason that only its issuer rewords, and let it go", async () => {
    await central.waiting(1);
    const set = (state: MachineState, description = "", client = admin()) =>
      client.setState({ uuid, state, description });
    const condition = async () => (await admin().get({ uuid })).machine?.status?.condition;
    await set(MachineState.TAINTED, "old firmware");
    await set(MachineState.TAINTED, "older firmware");
    const { description, issuer, state } = (await condition())!;
    assert.deepEqual([description, issuer, state], ["older firmware", "admin", MachineState.TAINTED]);
    await assert.rejects(
      set(MachineState.LOCKED, "mine"),
      refusedWith(Code.FailedPrecondition, /tainted by admin \(older firmware\): make it available first/),
    );
    await assert.rejects(set(MachineState.AVAILABLE, "why"), refusedWith(Code.InvalidArgument, /no description/));
    await assert.rejects(set(MachineState.UNSPECIFIED), refusedWith(Code.InvalidArgument));
    const another = { state: MachineState.TAINTED, description: "nicer", issuer: "bob", nowMs: 0 };
    assert.throws(() => inState(central.desired(uuid), another), /tainted by admin/);
    await set(MachineState.AVAILABLE);
    await set(MachineState.LOCKED, "mine");
    assert.equal((await condition())?.state, MachineState.LOCKED);
    const nobody = admin().setState({ uuid: machineUuid(9), state: MachineState.LOCKED, description: "" });
    await assert.rejects(nobody, notFound);
  });

  test("forget a machine that is gone, not one that lives or is in use", async () => {
    await central.waiting(1);
    await assert.rejects(admin().delete({ uuid }), refusedWith(Code.FailedPrecondition, /alive/));
    await central.create();
    await central.report({ ...aWaiting(uuid), liveliness: MachineLiveliness.DEAD });
    await assert.rejects(admin().delete({ uuid }), refusedWith(Code.FailedPrecondition, /allocated to project/));
    await user().delete(mine());
    await assert.rejects(admin().delete({ uuid }), refusedWith(Code.FailedPrecondition, /isolated/));
    await central.report({ ...aWaiting(uuid), liveliness: MachineLiveliness.DEAD, isolatedEpoch: 3n });
    await admin().delete({ uuid });
    await assert.rejects(admin().get({ uuid }), notFound);
    await central.report({ uuid, installedEpoch: 2n, isolatedEpoch: 3n });
    assert.equal(central.desired(uuid).epoch, 4n, "what was done under an old number is not done under a new one");
  });

  test("see what is wrong, filtered by machine, kind and severity", async () => {
    const bmc = { address: "10.9.0.1", mac: "00:00:00:00:00:01" };
    await central.waiting(3, { bmc });
    await central.report({ ...aWaiting(machineUuid(3)), bmc: { ...bmc, address: "10.9.0.3" }, liveliness: 2 });
    const find = async (query: object) => {
      const { issues } = await admin().issues({ query });
      return issues.map((m) => [
        m.uuid,
        m.issues.map((i) => `${enumToJson(MachineIssueTypeSchema, i.type)}`.replace("MACHINE_ISSUE_TYPE_", "")),
      ]);
    };
    const omit = [MachineIssueType.NO_EVENT_CONTAINER];
    const shared = ["BMC_NON_DISTINCT_IP"];
    assert.deepEqual(await find({ omit }), [
      [machineUuid(1), shared],
      [machineUuid(2), shared],
      [machineUuid(3), ["LIVELINESS_DEAD"]],
    ]);
    assert.deepEqual(await find({ omit, machineQuery: { uuid: machineUuid(2) } }), [[machineUuid(2), shared]]);
    assert.deepEqual(await find({ only: [MachineIssueType.LIVELINESS_DEAD] }), [[machineUuid(3), ["LIVELINESS_DEAD"]]]);
    assert.deepEqual(await find({ severity: MachineIssueSeverity.CRITICAL }), []);
  });

  test("see switches as agents report them", async () => {
    const switches = central.client(AdminSwitchService);
    await assert.rejects(switches.get({ id: "leaf01" }), notFound);
    const leaf = { id: "leaf01", partition: "lab", rack: "rack1" };
    await central.state.transact((tx) => tx.put(kinds.switch, "leaf01", create(SwitchSchema, leaf)));
    assert.equal((await switches.get({ id: "leaf01" })).switch?.rack, "rack1");
    assert.equal((await switches.list({ query: { rack: "rack2" } })).switches.length, 0);
    assert.equal((await switches.list({ query: { rack: "rack1" } })).switches.length, 1);
  });
});
