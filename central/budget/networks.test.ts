import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { clone, create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { budgetLabel } from "#domain/budget/items.ts";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { ephemeralIp, machineNetwork } from "#domain/machine/allocation.ts";
import { BudgetService, type GrantRequest } from "#gen/holdfast/api/v1/budget_pb.ts";
import {
  type Budget,
  LocalIpSchema,
  type LocalMachine,
  LocalMachineSchema,
  type LocalNetwork,
  LocalNetworkSchema,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import { MachineObservedSchema, ReleaseSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { OptimisticLockingStrategy } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineAllocationSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkSchema, NetworkService, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { reportsTo } from "./testing/reports.ts";

let central: MachineCentral;
let report: ReturnType<typeof reportsTo>["report"];
let says: ReturnType<typeof reportsTo>["says"];
beforeEach(async () => {
  central = await machineCentral();
  ({ report, says } = reportsTo(central));
  await central.waiting(2);
});
afterEach(() => central.close());

const refused = (code: Code, text: RegExp) => (e: unknown) => {
  assert.ok(e instanceof ConnectError, String(e));
  assert.deepEqual([Code[e.code], text.test(e.message)], [Code[code], true], e.message);
  return true;
};

const grant = async (networks: number, more: Partial<GrantRequest> = {}): Promise<Budget> => {
  const { project } = central;
  const { budget } = await central.client(BudgetService).grant({
    ...{ partition: "lab", project, size: "small", machines: 1, addresses: 2, networks, parentNetwork: "super" },
    ...more,
  });
  assert.ok(budget?.budget);
  return budget.budget;
};

const budgetOf = (id: string): Budget | undefined => central.state.get(kinds.budget, id)?.value;
const networkRow = (id: string): Network | undefined => central.state.get(kinds.network, id)?.value;
const vrfHolder = (vrf = 0): string | undefined => central.state.get(kinds.claim, `vrf/${vrf}`)?.value.value;
/** As every 30 s. */
const look = (id: string) => central.client(BudgetService).resize({ id, machines: 1, addresses: 2 });

/** As an agent makes the first network of a budget. */
function made({ id, free }: Budget, more: Partial<LocalNetwork> = {}): LocalNetwork {
  const network = clone(NetworkSchema, networkRow(free?.networks[0] ?? "")!);
  network.name = "cut";
  delete network.meta?.labels;
  if (network.meta) network.meta.createdAt = timestampFromMs(central.clock.wallMs());
  return create(LocalNetworkSchema, { budget: id, network, ...more });
}

const adopt = (local: LocalNetwork) => report("local-network", local.network?.id ?? "", LocalNetworkSchema, local);

/** As an agent gives the machine of a budget away, in a network. */
function given({ id, free }: Budget, network: Network, ip: string): LocalMachine {
  const { project } = central;
  const [uuid = "", asn = 0] = [free?.machines[0], free?.asns[0]];
  return create(LocalMachineSchema, {
    ...{ uuid, budget: id, epoch: central.desired(uuid).epoch + 1n },
    allocation: create(MachineAllocationSchema, {
      ...{ uuid: machineUuid(900), project, name: "in-it", networks: [machineNetwork(network, [ip], asn)] },
    }),
    ips: [ephemeralIp(network, { uuid: machineUuid(901), ip, project, labels: { [machineLabel]: uuid }, nowMs: 0 })],
  });
}

const firstAddress = ({ free }: Budget): string => free?.networkAddresses[0]?.split("/")[1] ?? "";

test("networks are delegated with a prefix, a VRF and addresses of their own, which central gives to nobody", async () => {
  const { free, network } = await grant(2);
  assert.deepEqual([free?.networks.length, free?.networkAddresses.length, free?.addresses, network], [2, 4, [], ""]);
  const rows = (free?.networks ?? []).map((id) => networkRow(id)!);
  assert.deepEqual(
    rows.map((row) => [row.project, row.partition, row.parentNetwork, row.type, row.meta?.labels?.labels[budgetLabel]]),
    rows.map(() => [
      central.project,
      "lab",
      "super",
      NetworkType.CHILD,
      budgetOf(rows[0]?.meta?.labels?.labels[budgetLabel] ?? "")?.id,
    ]),
  );
  for (const { id, vrf } of rows) assert.equal(vrfHolder(vrf), id);
  assert.equal(new Set([...rows.flatMap((row) => row.prefixes), networkRow(central.network)?.prefixes[0]]).size, 3);
  const [{ id }] = rows as [Network];
  const { project } = central;
  const delegated = refused(Code.FailedPrecondition, /network .* is delegated to a partition by budget/);
  const updateMeta = { lockingStrategy: OptimisticLockingStrategy.SERVER };
  const networks = central.client(NetworkService);
  await assert.rejects(central.client(IPService).create({ network: id, project }), delegated);
  await assert.rejects(central.create({ networks: [{ network: id }] }), delegated);
  await assert.rejects(networks.update({ id, project, updateMeta, name: "mine" }), delegated);
  await assert.rejects(central.client(AdminNetworkService).update({ id, updateMeta, name: "mine" }), delegated);
  await assert.rejects(networks.delete({ id, project }), delegated);
  await assert.rejects(grant(0, { network: id }), delegated);
  const parent = central.client(AdminNetworkService).delete({ id: "super" });
  await assert.rejects(parent, refused(Code.FailedPrecondition, /in use/));
});

test("nobody can make a network seem delegated by its label", async () => {
  const labels = { labels: { [budgetLabel]: machineUuid(1) } };
  const { project, network: id } = central;
  const updateMeta = { lockingStrategy: OptimisticLockingStrategy.SERVER };
  const change = { strategy: { case: "patch", value: { update: labels } } } as const;
  const wrong = refused(Code.InvalidArgument, /is set by budgets/);
  const networks = central.client(NetworkService);
  await assert.rejects(networks.create({ project, partition: "lab", labels }), wrong);
  await assert.rejects(networks.update({ id, project, updateMeta, labels: change }), wrong);
  const { ip } = await central.client(IPService).create({ project, network: id });
  const update = { ip: ip?.ip ?? "", project, updateMeta, labels: change };
  await assert.rejects(central.client(IPService).update(update), wrong);
});

test("a budget of networks wants the super network that they are cut out of, in its partition", async () => {
  const { parentNetwork: _, ...none } = { parentNetwork: undefined };
  const budgets = central.client(BudgetService);
  const wanted = { partition: "lab", project: central.project, size: "small", machines: 1, addresses: 1, ...none };
  await assert.rejects(budgets.grant(wanted), refused(Code.InvalidArgument, /a private network, or a super network/));
  await assert.rejects(
    budgets.grant({ ...wanted, network: central.network, networks: 1 }),
    refused(Code.InvalidArgument, /the budget has none/),
  );
  await assert.rejects(
    budgets.grant({ ...wanted, networks: 1, parentNetwork: central.network }),
    refused(Code.InvalidArgument, /is no super network/),
  );
  const { id } = await grant(0, { network: central.network, parentNetwork: "super" });
  await budgets.resize({ id, machines: 1, addresses: 2, networks: 1 });
  assert.equal(budgetOf(id)?.free?.networks.length, 1);
  await look(id);
  assert.equal(budgetOf(id)?.networksWanted, 1, "who does not say how many, leaves them as they are");
});

test("a network that a partition made is an ordinary one, and central gives all but the addresses that came with it", async () => {
  const budget = await grant(1);
  const local = made(budget);
  const { id = "" } = local.network ?? {};
  assert.deepEqual(await adopt(local), []);
  const { project } = central;
  const { network } = await central.client(NetworkService).get({ id, project });
  assert.deepEqual([network?.name, network?.meta?.labels, network?.vrf], ["cut", undefined, local.network?.vrf]);
  const { ip } = await central.client(IPService).create({ network: id, project });
  assert.ok(!budget.free?.networkAddresses.includes(`${id}/${ip?.ip}`));
  assert.deepEqual(budgetOf(budget.id)?.free?.networks, []);
  assert.deepEqual(await adopt(local), [], "it may be told twice");
  await look(budget.id);
  assert.equal(budgetOf(budget.id)?.free?.networks.length, 1, "another one takes its place");
});

test("a machine that a partition put into a network of its own is an ordinary one", async () => {
  const budget = await grant(1);
  const local = made(budget);
  const machine = given(budget, local.network!, firstAddress(budget));
  await adopt(local);
  assert.deepEqual(await report("local-machine", machine.uuid, LocalMachineSchema, machine), []);
  const { ip, network } = machine.ips[0]!;
  const row = await central.client(IPService).get({ ip, project: central.project });
  assert.deepEqual([row.ip?.network, row.ip?.meta?.labels?.labels], [network, { [machineLabel]: machine.uuid }]);
  assert.ok(!budgetOf(budget.id)?.free?.networkAddresses.includes(`${network}/${ip}`));
  await assert.rejects(
    central.client(NetworkService).delete({ id: network, project: central.project }),
    refused(Code.FailedPrecondition, /in use/),
  );
});

test("a machine of one budget may be in a network of another, of the same project and partition", async () => {
  const [networks, machines] = [await grant(1, { machines: 0 }), await grant(0, { network: central.network })];
  const local = made(networks);
  const machine = given(machines, local.network!, firstAddress(networks));
  await adopt(local);
  assert.deepEqual(await report("local-machine", machine.uuid, LocalMachineSchema, machine), []);
  const { ip, network } = machine.ips[0]!;
  assert.ok(
    !budgetOf(networks.id)?.free?.networkAddresses.includes(`${network}/${ip}`),
    "it leaves the budget it is of",
  );
  assert.deepEqual(budgetOf(machines.id)?.free?.machines, []);
});

test("the addresses that came with a network are recalled when it is no longer young", async () => {
  const budget = await grant(1);
  const local = made(budget);
  const { id = "" } = local.network ?? {};
  const { project } = central;
  await adopt(local);
  await look(budget.id);
  const left = () => budgetOf(budget.id)?.recalled?.networkAddresses.length;
  assert.equal(left(), 0);
  const remove = () => central.client(NetworkService).delete({ id, project });
  await assert.rejects(remove(), refused(Code.FailedPrecondition, /which budget .* delegates/));
  central.clock.advance(5 * 60_000);
  await look(budget.id);
  assert.equal(left(), 2);
  await says(budget.id, 1n);
  await look(budget.id);
  assert.equal(left(), 0);
  await remove();
  assert.equal(vrfHolder(local.network?.vrf), undefined);
});

test("a network that a partition made and deleted while nobody knew is free when nothing is in it", async () => {
  const budget = await grant(1);
  const local = made(budget);
  const { id = "", vrf } = local.network ?? {};
  const machine = given(budget, local.network!, firstAddress(budget));
  const { allocation, ...rest } = machine;
  const release = create(ReleaseSchema, {
    ...{ epoch: machine.epoch + 1n, project: central.project, allocation: allocation?.uuid ?? "" },
    ...{ ips: [`/${machine.ips[0]?.ip}`], asns: budget.free?.asns ?? [] },
  });
  const back = create(LocalMachineSchema, { ...rest, epoch: machine.epoch + 1n, release });
  assert.deepEqual(await report("local-machine", back.uuid, LocalMachineSchema, back), []);
  assert.deepEqual(await adopt(made(budget, { deleted: true })), []);
  assert.deepEqual(await adopt(made(budget, { deleted: true })), [], "it may be told twice");
  const { generation = 0n } = budgetOf(budget.id) ?? {};
  await says(budget.id, generation);
  await look(budget.id);
  await says(budget.id, budgetOf(budget.id)?.generation ?? 0n);
  await look(budget.id);
  assert.equal(vrfHolder(vrf), id, "the machine that was in it is not isolated yet");
  const epoch = machine.epoch + 1n;
  const seen = create(MachineObservedSchema, { ...aWaiting(back.uuid), epoch, isolatedEpoch: epoch });
  await report("machine", back.uuid, MachineObservedSchema, seen);
  await look(budget.id);
  assert.deepEqual([networkRow(id), vrfHolder(vrf)], [undefined, undefined]);
  assert.ok(!budgetOf(budget.id)?.free?.networks.includes(id));
});

test("what is not the partition's to make is not adopted", async () => {
  const budget = await grant(1);
  const local = made(budget);
  const other = await central.newProject("other");
  const theirs = await central.childNetwork(other);
  const as = (more: object) => adopt(create(LocalNetworkSchema, { ...local, network: { ...local.network!, ...more } }));
  assert.match((await as({ id: theirs }))[0] ?? "", /is somebody else's/);
  assert.match((await as({ partition: "far" }))[0] ?? "", /in partition lab, is wanted/);
  assert.match((await as({ project: machineUuid(77) }))[0] ?? "", /does not exist/);
  await as({ prefixes: ["10.0.99.0/24"], vrf: 9 });
  assert.deepEqual(networkRow(local.network?.id ?? "")?.vrf, local.network?.vrf, "what central has cut, it knows best");
  assert.match(
    (await adopt(made({ ...budget, free: budget.free! }, { deleted: true })))[0] ?? "",
    /ordinary one by now/,
  );
});

test("a network that a restored central has forgotten is adopted if nobody has what it is made of", async () => {
  const budget = await grant(1);
  const local = made(budget);
  const { id = "", vrf = 0 } = local.network ?? {};
  const forget = async () => {
    await central.state.transact((tx) => {
      tx.delete(kinds.network, id);
      tx.delete(kinds.claim, `vrf/${vrf}`);
      tx.delete(kinds.budget, budget.id);
      for (const row of tx.list(kinds.ip)) tx.delete(kinds.ip, row.id);
    });
  };
  await forget();
  const taken = await central.childNetwork(central.project);
  assert.deepEqual(
    networkRow(taken)?.prefixes,
    local.network?.prefixes,
    "the lowest that is free is given to somebody",
  );
  assert.match((await adopt(local))[0] ?? "", new RegExp(`are taken by network ${taken}`));
  await central.client(NetworkService).delete({ id: taken, project: central.project });
  await central.state.transact((tx) =>
    tx.put(kinds.claim, `vrf/${vrf}`, { $typeName: "google.protobuf.StringValue", value: "x" }),
  );
  assert.match((await adopt(local))[0] ?? "", /VRF .* is taken/);
  await forget();
  assert.deepEqual(await adopt(local), []);
  assert.deepEqual([networkRow(id)?.name, vrfHolder(vrf)], ["cut", id]);
});

test("a revoked budget of networks leaves nothing behind", async () => {
  const { id, free } = await grant(2);
  const budgets = central.client(BudgetService);
  await budgets.revoke({ id });
  await says(id, 1n, { networks: free?.networks.slice(0, 1) });
  await budgets.revoke({ id });
  assert.deepEqual(budgetOf(id)?.recalled?.networks, free?.networks.slice(0, 1), "one is used");
  await says(id, 1n);
  while (budgetOf(id)) await budgets.revoke({ id });
  assert.deepEqual(central.state.list(kinds.ip), []);
  assert.deepEqual(
    central.state
      .list(kinds.network)
      .map((row) => row.id)
      .sort(),
    [central.network, "super"].sort(),
  );
  assert.equal(central.state.list(kinds.claim).filter((row) => row.id.startsWith("vrf/")).length, 1);
});

test("after its agent lost its disk, a network is free when all machines that may be in it are isolated", async () => {
  const [networks, machines] = [await grant(1, { machines: 0 }), await grant(0, { network: central.network })];
  const sync = central.client(SyncService, central.agentToken);
  await sync.report({ partition: "lab", outbox: "another", entries: [] });
  const budgets = central.client(BudgetService);
  await budgets.revoke({ id: networks.id, force: true });
  const [id = ""] = networks.free?.networks ?? [];
  assert.ok(networkRow(id), "a machine of the other budget may be in it");
  await budgets.revoke({ id: machines.id, force: true });
  await budgets.revoke({ id: networks.id, force: true });
  assert.ok(networkRow(id), "it is not isolated yet");
  const [uuid = ""] = machines.free?.machines ?? [];
  const { epoch } = central.desired(uuid);
  const value = create(MachineObservedSchema, { ...aWaiting(uuid), epoch, isolatedEpoch: epoch });
  const entries = [{ sequence: 1n, kind: "machine", id: uuid, value: toBinary(MachineObservedSchema, value) }];
  await sync.report({ partition: "lab", outbox: "another", entries });
  await budgets.revoke({ id: networks.id, force: true });
  assert.deepEqual([networkRow(id), budgetOf(networks.id)], [undefined, undefined]);
});

test("who revokes by force takes nothing from an agent that knows what it gave away", async () => {
  const { id } = await grant(1, { machines: 0 });
  await central.client(BudgetService).revoke({ id, force: true });
  assert.equal(budgetOf(id)?.recalled?.networks.length, 1);
});

test("an address of a network that a partition made is its project's", async () => {
  const budget = await grant(1);
  const local = made(budget);
  const ip = firstAddress(budget);
  const { id = "" } = local.network ?? {};
  const { project } = central;
  await adopt(local);
  const vip = create(LocalIpSchema, {
    budget: budget.id,
    ip: { uuid: machineUuid(903), ip, network: id, project, name: "vip" },
  });
  assert.deepEqual(await report("local-ip", ip, LocalIpSchema, vip), []);
  assert.equal((await central.client(IPService).get({ ip, project })).ip?.name, "vip");
  assert.ok(!budgetOf(budget.id)?.free?.networkAddresses.includes(`${id}/${ip}`));
});
