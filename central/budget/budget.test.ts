import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { budgetLabel } from "#domain/budget/items.ts";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { ephemeralIp, machineNetwork } from "#domain/machine/allocation.ts";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { type Budget, LocalIpSchema, type LocalMachine, LocalMachineSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { MachineObservedSchema, ReleaseSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { type IP, IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineAllocationSchema, MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { reportsTo } from "./testing/reports.ts";

let central: MachineCentral;
let report: ReturnType<typeof reportsTo>["report"];
let says: ReturnType<typeof reportsTo>["says"];
beforeEach(async () => {
  central = await machineCentral();
  ({ report, says } = reportsTo(central));
});
afterEach(() => central.close());

const refused = (code: Code, text: RegExp) => (e: unknown) => {
  assert.ok(e instanceof ConnectError, String(e));
  assert.deepEqual([Code[e.code], text.test(e.message)], [Code[code], true], e.message);
  return true;
};

const grant = async (machines: number, addresses: number): Promise<Budget> => {
  const { project, network } = central;
  const wanted = { partition: "lab", project, size: "small", network, machines, addresses };
  const { budget } = await central.client(BudgetService).grant(wanted);
  assert.ok(budget?.budget);
  return budget.budget;
};

const budgetOf = (id: string): Budget | undefined => central.state.get(kinds.budget, id)?.value;

const seen = (uuid: string, more: object) =>
  report("machine", uuid, MachineObservedSchema, create(MachineObservedSchema, { ...aWaiting(uuid), ...more }));

/** As an agent gives the first machine of a budget away. */
function given(budget: Budget): LocalMachine {
  const { project } = central;
  const network = central.state.get(kinds.network, central.network)!.value;
  const [machine = "", ip = "", asn = 0] = [budget.free?.machines[0], budget.free?.addresses[0], budget.free?.asns[0]];
  return create(LocalMachineSchema, {
    uuid: machine,
    budget: budget.id,
    epoch: central.desired(machine).epoch + 1n,
    allocation: create(MachineAllocationSchema, {
      uuid: machineUuid(900),
      project,
      name: "cut",
      networks: [machineNetwork(network, [ip], asn)],
    }),
    ips: [ephemeralIp(network, { uuid: machineUuid(901), ip, project, labels: { [machineLabel]: machine }, nowMs: 0 })],
  });
}

const adopt = (local: LocalMachine) => report("local-machine", local.uuid, LocalMachineSchema, local);

test("what is delegated is there, and central gives none of it away", async () => {
  await central.waiting(3);
  const budget = await grant(2, 3);
  const { machines = [], addresses = [], asns = [] } = budget.free ?? {};
  assert.deepEqual([machines.length, addresses.length, asns.length], [2, 3, 2]);
  assert.equal(budget.outbox, "test");
  const { machine } = await central.create();
  assert.ok(!machines.includes(machine?.uuid ?? ""));
  assert.ok(!addresses.includes(machine?.allocation?.networks[0]?.ips[0] ?? ""));
  assert.ok(!asns.includes(machine?.allocation?.networks[0]?.asn ?? 0));
  await assert.rejects(central.create(), refused(Code.ResourceExhausted, /2 delegated/));
  await assert.rejects(central.create({ uuid: machines[0]! }), refused(Code.FailedPrecondition, /is delegated/));
  const named = { networks: [{ network: central.network, ips: [addresses[0]!] }] };
  await central.waiting(4);
  await assert.rejects(central.create(named), refused(Code.FailedPrecondition, /is delegated to a partition/));
  const { project } = central;
  const ips = central.client(IPService);
  await assert.rejects(ips.delete({ ip: addresses[0]!, project }), refused(Code.FailedPrecondition, /delegated/));
});

test("a budget is filled up when machines become free", async () => {
  await central.waiting(1);
  const { id, free } = await grant(2, 1);
  assert.equal(free?.machines.length, 1);
  const before = await central.client(BudgetService).list({});
  assert.match(before.budgets[0]?.problem ?? "", /1 machines are missing/);
  await central.waiting(2);
  await central.client(BudgetService).resize({ id, machines: 2, addresses: 1 });
  assert.equal(budgetOf(id)?.free?.machines.length, 2);
});

test("what a partition gave away becomes an ordinary allocation, and leaves the budget", async () => {
  await central.waiting(1);
  const budget = await grant(1, 2);
  const local = given(budget);
  assert.deepEqual(await adopt(local), []);
  const desired = central.desired(local.uuid);
  assert.deepEqual([desired.epoch, desired.allocation?.name, desired.delegated], [local.epoch, "cut", undefined]);
  const { machine } = await central.client(MachineService).get({ uuid: local.uuid, project: central.project });
  assert.equal(machine?.allocation?.name, "cut");
  const { ip = "" } = local.ips[0] ?? {};
  const row = await central.client(IPService).get({ ip, project: central.project });
  assert.equal(row.ip?.meta?.labels?.labels[machineLabel], local.uuid);
  assert.equal(row.ip?.meta?.labels?.labels[budgetLabel], undefined);
  assert.equal(central.state.get(kinds.claim, `asn/${budget.free?.asns[0]}`)?.value.value, machineUuid(900));
  const { free } = budgetOf(budget.id) ?? {};
  assert.deepEqual([free?.machines, free?.asns], [[], []]);
  assert.ok(!free?.addresses.includes(ip));
  assert.deepEqual(await adopt(local), [], "it may be told twice");
  await central.client(MachineService).delete({ uuid: local.uuid, project: central.project });
  assert.equal(central.desired(local.uuid).release?.ips.length, 1, "it is given back as any other");
});

test("what a partition gave away is adopted under an epoch to which a restored central has come by itself", async () => {
  await central.waiting(1);
  const budget = await grant(1, 1);
  const local = given(budget);
  const { delegated: _, ...free } = central.desired(local.uuid);
  await central.state.transact((tx) => tx.put(kinds.machineDesired, local.uuid, { ...free, epoch: local.epoch }));
  assert.deepEqual(await adopt(local), []);
  assert.equal(central.desired(local.uuid).allocation?.name, "cut");
  assert.deepEqual(await adopt(local), [], "it may be told twice");
});

test("what was given away and given back while nobody knew goes back to where anybody may have it", async () => {
  await central.waiting(1);
  const budget = await grant(1, 1);
  const made = given(budget);
  const { uuid, epoch } = made;
  await seen(uuid, { epoch: epoch + 1n, isolatedEpoch: epoch + 1n, wipedEpoch: epoch + 1n });
  const { ip = "" } = made.ips[0] ?? {};
  const release = create(ReleaseSchema, {
    epoch: epoch + 1n,
    project: central.project,
    ips: [`/${ip}`],
    allocation: machineUuid(900),
    asns: budget.free?.asns ?? [],
  });
  const { allocation: _, ...rest } = made;
  assert.deepEqual(await adopt(create(LocalMachineSchema, { ...rest, epoch: epoch + 1n, release })), []);
  assert.deepEqual([central.desired(uuid).epoch, central.desired(uuid).release], [epoch + 1n, undefined]);
  assert.equal(central.state.get(kinds.ip, `/${ip}`), undefined);
  assert.equal(central.state.get(kinds.claim, `asn/${budget.free?.asns[0]}`), undefined);
  const { machine } = await central.create();
  assert.equal(machine?.uuid, uuid);
});

test("what central tied to a machine before its partition gave that back is given back with it", async () => {
  await central.waiting(1);
  const budget = await grant(1, 1);
  const made = given(budget);
  const { uuid, epoch, ips } = made;
  assert.deepEqual(await adopt(made), []);
  const { project, network } = central;
  await central.client(IPService).create({ project, network, machine: uuid });
  const own = { epoch: epoch + 1n, project, ips: [`/${ips[0]?.ip}`], allocation: machineUuid(900) };
  const release = create(ReleaseSchema, { ...own, asns: budget.free?.asns ?? [] });
  const { allocation: _, ...rest } = made;
  assert.deepEqual(await adopt(create(LocalMachineSchema, { ...rest, epoch: epoch + 1n, release })), []);
  await seen(uuid, { epoch: epoch + 1n, isolatedEpoch: epoch + 1n, wipedEpoch: epoch + 1n });
  assert.deepEqual(
    [central.desired(uuid).release, central.state.list(kinds.ip).map(({ id }) => id)],
    [undefined, central.state.get(kinds.budget, budget.id)?.value.free?.addresses.map((ip) => `/${ip}`)],
  );
});

test("of an address that its partition gave away only central says whose it is", async () => {
  await central.waiting(1);
  const budget = await grant(1, 1);
  const [ip = ""] = budget.free?.addresses ?? [];
  const network = central.state.get(kinds.network, central.network)!.value;
  const labels = { [machineLabel]: machineUuid(1), [budgetLabel]: machineUuid(7), purpose: "vip" };
  const row = ephemeralIp(network, { uuid: machineUuid(902), ip, project: central.project, labels, nowMs: 0 });
  const local = create(LocalIpSchema, { ip: row, budget: budget.id });
  assert.deepEqual(await report("local-ip", `/${ip}`, LocalIpSchema, local), []);
  assert.deepEqual(central.state.get(kinds.ip, `/${ip}`)?.value.meta?.labels?.labels, { purpose: "vip" });
  await central.client(IPService).delete({ ip, project: central.project });
});

test("what somebody else has is not adopted", async () => {
  await central.waiting(2);
  const budget = await grant(1, 1);
  const { machine } = await central.create();
  const local = given(budget);
  const theirs = machine?.allocation?.networks[0]?.ips[0] ?? "";
  const stolen = create(LocalMachineSchema, { ...local, ips: [{ ...(local.ips[0] as IP), ip: theirs }] });
  assert.match((await adopt(stolen))[0] ?? "", /is somebody else's/);
  assert.match(
    (await adopt(create(LocalMachineSchema, { ...local, epoch: 99n })))[0] ?? "",
    /beyond what was delegated/,
  );
  assert.equal(central.desired(local.uuid).allocation, undefined);
  assert.match(
    (await adopt(create(LocalMachineSchema, { ...local, uuid: machine?.uuid ?? "", epoch: 99n })))[0] ?? "",
    /is allocated to project/,
  );
});

test("an address that is not of its network is not adopted, and it is said why", async () => {
  await central.waiting(1);
  const budget = await grant(1, 1);
  const network = central.state.get(kinds.network, central.network)!.value;
  const { project } = central;
  const rows = () => central.state.list(kinds.ip).map(({ id }) => id);
  const before = rows();
  for (const [ip, more, why] of [
    ["10.9.0.9", {}, /in none of the prefixes 10\.0\.0\.0\/22 of network/],
    ["10.0.0.0", {}, /in none of the prefixes/],
    ["10.0.0.77", { namespace: project }, new RegExp(`is in namespace ${project}, and network .* in \\(none\\)`)],
    ["::ffff:a00:4d", {}, /in none of the prefixes/],
    ["2001:DB8::1", {}, /is not written as addresses are stored/],
    ["10.0.0.x", {}, /is not written as addresses are stored/],
  ] as const) {
    const row = ephemeralIp(network, { uuid: machineUuid(903), ip, project, labels: {}, nowMs: 0 });
    const local = create(LocalIpSchema, { ip: { ...row, ...more }, budget: budget.id });
    assert.match((await report("local-ip", `/${ip}`, LocalIpSchema, local))[0] ?? "", why);
    const machine = given(budget);
    const ofMachine = create(LocalMachineSchema, { ...machine, ips: [{ ...(machine.ips[0] as IP), ip, ...more }] });
    assert.match((await adopt(ofMachine))[0] ?? "", why);
  }
  assert.deepEqual(rows(), before);
});

test("what is recalled comes back once its agent says that it does not use it, and not before", async () => {
  await central.waiting(2);
  const { id, free } = await grant(2, 2);
  const budgets = central.client(BudgetService);
  await budgets.resize({ id, machines: 1, addresses: 2 });
  const [first = "", second = ""] = free?.machines ?? [];
  assert.deepEqual([budgetOf(id)?.recalled?.machines, budgetOf(id)?.generation], [[second], 1n]);
  await assert.rejects(central.create(), refused(Code.ResourceExhausted, /delegated/));
  await says(id, 0n);
  await budgets.resize({ id, machines: 1, addresses: 2 });
  assert.deepEqual(budgetOf(id)?.recalled?.machines, [second], "an older word does not count");
  await says(id, 1n, { machines: [second] });
  await budgets.resize({ id, machines: 1, addresses: 2 });
  assert.deepEqual(budgetOf(id)?.recalled?.machines, [second], "it uses it");
  await says(id, 1n);
  await budgets.resize({ id, machines: 1, addresses: 2 });
  assert.deepEqual([budgetOf(id)?.recalled?.machines, budgetOf(id)?.free?.machines], [[], [first]]);
  assert.ok(central.desired(second).epoch > 17n, "above all that the agent may have used");
});

test("a machine that works for what a restored central has forgotten keeps its epoch when it leaves its budget, and is left alone", async () => {
  await central.waiting(1);
  const { id, free } = await grant(1, 2);
  const [uuid = ""] = free?.machines ?? [];
  const { epoch } = central.desired(uuid);
  await seen(uuid, { workedEpoch: epoch + 2n, installedEpoch: epoch + 2n, waiting: false });
  const budgets = central.client(BudgetService);
  await budgets.revoke({ id });
  await says(id, 1n);
  await budgets.revoke({ id });
  const desired = central.desired(uuid);
  assert.equal(desired.delegated, undefined);
  const observed = central.state.get(kinds.machineObserved, uuid)?.value;
  assert.ok((observed?.workedEpoch ?? 0n) > desired.epoch);
});

test("a restored store's word of what is used counts only once everything was told to it again", async () => {
  await central.waiting(1);
  const { id, free } = await grant(1, 2);
  const [uuid = ""] = free?.machines ?? [];
  const budgets = central.client(BudgetService);
  const toldTo = (history: string) =>
    central.state.transact((tx) => {
      const cursor = tx.get(kinds.reportCursor, "lab");
      assert.ok(cursor);
      tx.put(kinds.reportCursor, "lab", { ...cursor, history });
    });
  await budgets.revoke({ id });
  await toldTo("before the restore");
  await says(id, 1n);
  await budgets.revoke({ id });
  assert.deepEqual(budgetOf(id)?.recalled?.machines, [uuid]);
  await toldTo(central.state.history);
  await budgets.revoke({ id });
  assert.equal(budgetOf(id), undefined);
});

test("a revoked budget goes when all of it has come back, and leaves nothing behind", async () => {
  await central.waiting(1);
  const budget = await grant(1, 2);
  const budgets = central.client(BudgetService);
  const { budget: view } = await budgets.revoke({ id: budget.id });
  assert.match(view?.problem ?? "", /recalled/);
  await says(budget.id, 1n);
  await budgets.revoke({ id: budget.id });
  assert.equal(budgetOf(budget.id), undefined);
  assert.deepEqual(central.state.list(kinds.ip), []);
  assert.equal(central.desired(machineUuid(1)).delegated, undefined);
});

test("a budget whose agent lost its disk is used no more, and is revoked by force: the machines are isolated first", async () => {
  await central.waiting(1);
  const { id, free } = await grant(1, 1);
  const sync = central.client(SyncService, central.agentToken);
  await sync.report({ partition: "lab", outbox: "another", entries: [] });
  const budgets = central.client(BudgetService);
  assert.match((await budgets.list({})).budgets[0]?.problem ?? "", /lost its disk/);
  await assert.rejects(budgets.revoke({ id }), refused(Code.FailedPrecondition, /force/));
  await budgets.revoke({ id, force: true });
  const [uuid = ""] = free?.machines ?? [];
  const { epoch, delegated } = central.desired(uuid);
  assert.ok(epoch > 17n && delegated === undefined);
  assert.equal(budgetOf(id)?.recalled?.addresses.length, 1, "nobody knows yet that its port is isolated");
  const value = create(MachineObservedSchema, { ...aWaiting(uuid), epoch, isolatedEpoch: epoch });
  const entries = [{ sequence: 1n, kind: "machine", id: uuid, value: toBinary(MachineObservedSchema, value) }];
  await sync.report({ partition: "lab", outbox: "another", entries });
  await budgets.revoke({ id, force: true });
  assert.equal(budgetOf(id), undefined);
  assert.deepEqual(central.state.list(kinds.ip), []);
});

test("an address that a partition gave away is its project's, and one that it gave back is free", async () => {
  await central.waiting(1);
  const budget = await grant(0, 2);
  const { project, network } = central;
  const [a = "", b = ""] = budget.free?.addresses ?? [];
  const local = (ip: string, deleted: boolean) =>
    create(LocalIpSchema, {
      budget: budget.id,
      deleted,
      ip: { uuid: machineUuid(903), ip, network, project, name: "x" },
    });
  assert.deepEqual(await report("local-ip", `/${a}`, LocalIpSchema, local(a, false)), []);
  assert.deepEqual(await report("local-ip", `/${b}`, LocalIpSchema, local(b, true)), []);
  assert.equal((await central.client(IPService).get({ ip: a, project })).ip?.name, "x");
  assert.equal(central.state.get(kinds.ip, `/${b}`), undefined);
  assert.deepEqual(budgetOf(budget.id)?.free?.addresses, []);
});

test("a partition is told who may use its budget, and no longer who may not", async () => {
  await central.waiting(1);
  const { id } = await grant(1, 1);
  const access = () => central.state.get(kinds.siteAccess, `lab/${central.project}`)?.value;
  const users = () => access()?.tokens.map(({ user }) => user);
  assert.ok(users()?.includes("ann"));
  assert.ok(access()?.keys.every((key) => !JSON.parse(key.publicJwk).d));
  const token = access()?.tokens.find(({ user }) => user === "ann")?.uuid ?? "";
  await central.identity.revoke(token, "ann");
  await central.client(BudgetService).resize({ id, machines: 1, addresses: 1 });
  assert.ok(!users()?.includes("ann"));
});

test("what a budget needs is not deleted", async () => {
  await central.waiting(1);
  await grant(1, 0);
  const text = /budget/;
  const { project } = central;
  await assert.rejects(central.client(ProjectService).delete({ project }), refused(Code.FailedPrecondition, text));
});
