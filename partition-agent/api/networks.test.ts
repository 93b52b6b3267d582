import assert from "node:assert/strict";
import { test } from "node:test";
import { clone, create, fromBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { budgetLabel, noItems } from "#domain/budget/items.ts";
import {
  BudgetItemsSchema,
  BudgetSchema,
  BudgetUseSchema,
  LocalMachineSchema,
  LocalNetworkSchema,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import { OptimisticLockingStrategy } from "#gen/metalstack/api/v2/common_pb.ts";
import { type Network, NetworkAddressFamily, NetworkSchema, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { keyHeader } from "#lib/rpc/idempotency-key.ts";
import { networkOf } from "../boot/site.ts";
import { openAgent } from "../testing/site.ts";
import { type Agent, budgetId, callers, item, place, project, refused, tell, wanted } from "./testing/people.ts";

const delegated = (id: string, vrf: number): Network =>
  create(NetworkSchema, {
    ...{ id, project, partition: "p1", parentNetwork: "super", type: NetworkType.CHILD, vrf },
    prefixes: [`10.${vrf}.0.0/24`],
    meta: { labels: { labels: { [budgetLabel]: budgetId } } },
  });

const rows = [delegated("n1", 1), delegated("n2", 2)];

/** The budget has two networks more, each with two addresses. */
async function granted() {
  const at = await place();
  const free = {
    networks: ["n1", "n2"],
    networkAddresses: ["n1/10.1.0.2", "n1/10.1.0.3", "n2/10.2.0.2", "n2/10.2.0.3"],
  };
  const budget = clone(BudgetSchema, at.agent.ledger.get("budget", budgetId, BudgetSchema)!);
  Object.assign(budget.free ?? {}, free);
  Object.assign(budget, { networksWanted: 2, parentNetwork: "super" });
  await tell(
    at.agent,
    ...rows.map((row) => item("network", row.id, NetworkSchema, row)),
    item("budget", budgetId, BudgetSchema, budget),
  );
  return at;
}

/** Central has adopted the first network. */
async function adopted(agent: Agent, made: Network): Promise<void> {
  const budget = clone(BudgetSchema, agent.ledger.get("budget", budgetId, BudgetSchema)!);
  if (budget.free) budget.free.networks = ["n2"];
  await tell(agent, item("network", made.id, NetworkSchema, made), item("budget", budgetId, BudgetSchema, budget));
}

const told = (agent: Agent, kind: string) => agent.outbox.pending(100).filter((entry) => entry.kind === kind);

test("a network is made out of a delegated one, durably, and on its way to central", async () => {
  const { agent, ann } = await granted();
  const asked = { project, name: "cut", description: "made here", partition: "p1", labels: { labels: { a: "b" } } };
  const { network } = await ann.networks.create(asked);
  assert.deepEqual(
    [network?.id, network?.name, network?.description, network?.prefixes, network?.vrf, network?.meta?.labels?.labels],
    ["n1", "cut", "made here", ["10.1.0.0/24"], 1, { a: "b" }],
  );
  const [entry] = told(agent, "local-network");
  const local = fromBinary(LocalNetworkSchema, entry?.value ?? new Uint8Array());
  assert.deepEqual([local.budget, local.network?.name, local.deleted], [budgetId, "cut", false]);
  const again = callers(await openAgent(agent)).as("ann");
  assert.equal((await again.networks.get({ id: "n1", project })).network?.name, "cut");
  const { networks } = await again.networks.list({ project, query: { type: NetworkType.CHILD } });
  assert.deepEqual(networks.map(({ id }) => id).sort(), ["n1", "net"]);
});

test("a delegated network that nobody has made is not there", async () => {
  const { ann } = await granted();
  await assert.rejects(ann.networks.get({ id: "n1", project }), refused(Code.NotFound, /n1 is not known here/));
  await assert.rejects(
    ann.machines.create({ ...wanted, networks: [{ network: "n1" }] }),
    refused(Code.NotFound, /n1 is not known here/),
  );
  await assert.rejects(
    ann.ips.create({ project, network: "n1" }),
    refused(Code.ResourceExhausted, /no budget has any/),
  );
});

test("no more networks are made than are delegated, even when they are deleted meanwhile", async () => {
  const { ann } = await granted();
  const made = await Promise.all([ann.networks.create({ project }), ann.networks.create({ project })]);
  assert.deepEqual(made.map(({ network }) => network?.id).sort(), ["n1", "n2"]);
  await ann.networks.delete({ id: "n1", project });
  await assert.rejects(ann.networks.create({ project }), refused(Code.ResourceExhausted, /no budget has one left/));
});

test("a network that is made again with the same key is the same", async () => {
  const { agent, ann } = await granted();
  const options = { headers: { [keyHeader]: "k1" } };
  const made = await ann.networks.create({ project, name: "cut" }, options);
  assert.deepEqual(await ann.networks.create({ project, name: "cut" }, options), made);
  await adopted(agent, made.network!);
  assert.deepEqual(await ann.networks.create({ project, name: "cut" }, options), made);
  assert.equal(told(agent, "local-network").length, 1);
});

test("a network that is unlike those that are delegated is refused, with what they are like", async () => {
  const { ann } = await granted();
  const outside = (more: object, text: RegExp) =>
    assert.rejects(ann.networks.create({ project, ...more }), refused(Code.ResourceExhausted, text));
  await outside({ partition: "far" }, /one in p1 is/);
  await outside({ parentNetwork: "other" }, /cut out of super is/);
  await outside({ length: { ipv4: 20 } }, /one with 10.1.0.0\/24 is/);
  await outside({ addressFamily: NetworkAddressFamily.DUAL_STACK }, /one with 10.1.0.0\/24 is/);
  const alike = { parentNetwork: "super", length: { ipv4: 24 }, addressFamily: NetworkAddressFamily.V4 };
  assert.equal((await ann.networks.create({ project, ...alike })).network?.id, "n1");
  const labels = { labels: { [budgetLabel]: budgetId } };
  await assert.rejects(ann.networks.create({ project, labels }), refused(Code.InvalidArgument, /set by budgets/));
});

test("machines and addresses of a network that was made here are those that came with it", async () => {
  const { agent, ann } = await granted();
  await ann.networks.create({ project, name: "cut" });
  const { machine } = await ann.machines.create({ ...wanted, networks: [{ network: "n1" }] });
  const home = machine?.allocation?.networks[0];
  assert.deepEqual([home?.network, home?.ips, home?.vrf], ["n1", ["10.1.0.2"], 1n]);
  assert.equal((await ann.ips.create({ project, network: "n1" })).ip?.ip, "10.1.0.3");
  await assert.rejects(
    ann.machines.create({ ...wanted, networks: [{ network: "n1" }] }),
    refused(Code.ResourceExhausted, /all of network n1 are used/),
  );
  const order = agent.outbox.pending(100).map(({ kind }) => kind);
  assert.ok(order.indexOf("local-network") < order.indexOf("local-machine"), "central hears of the network first");
  const second = await ann.machines.create(wanted);
  assert.deepEqual(second.machine?.allocation?.networks[0]?.ips, ["10.0.0.2"], "other networks keep theirs");
});

test("what came with a network can be given away after central has adopted that, until it is recalled", async () => {
  const { agent, ann, budgets } = await granted();
  const { network } = await ann.networks.create({ project, name: "cut" });
  await adopted(agent, network!);
  await budgets.keep();
  assert.equal(agent.site.locals.network("n1"), undefined, "central's word counts");
  assert.equal(networkOf(agent.site, "n1")?.name, "cut");
  const { machine } = await ann.machines.create({ ...wanted, networks: [{ network: "n1" }] });
  assert.deepEqual(machine?.allocation?.networks[0]?.ips, ["10.1.0.2"]);
  const recalled = clone(BudgetSchema, agent.ledger.get("budget", budgetId, BudgetSchema)!);
  recalled.generation = 1n;
  recalled.recalled = create(BudgetItemsSchema, { networkAddresses: ["n1/10.1.0.2", "n1/10.1.0.3"] });
  if (recalled.free) recalled.free.networkAddresses = ["n2/10.2.0.2", "n2/10.2.0.3"];
  await tell(agent, item("budget", budgetId, BudgetSchema, recalled));
  await budgets.keep();
  const { used } = fromBinary(BudgetUseSchema, told(agent, "budget-use")[0]?.value ?? new Uint8Array());
  assert.deepEqual(used?.networkAddresses, ["n1/10.1.0.2"]);
  await assert.rejects(
    ann.machines.create({ ...wanted, networks: [{ network: "n1" }] }),
    refused(Code.ResourceExhausted, /networks n1/),
  );
});

test("a network is deleted here when it was made here and nothing is in it", async () => {
  const { agent, ann } = await granted();
  await ann.networks.create({ project });
  const { machine } = await ann.machines.create({ ...wanted, networks: [{ network: "n1" }] });
  const { ip } = await ann.ips.create({ project, network: "n1" });
  const remove = () => ann.networks.delete({ id: "n1", project });
  await assert.rejects(remove(), refused(Code.FailedPrecondition, /in use by machine .*, address 10.1.0.3/));
  await ann.ips.delete({ ip: ip?.ip ?? "", project });
  await ann.machines.delete({ uuid: machine?.uuid ?? "", project });
  await remove();
  await assert.rejects(remove(), refused(Code.NotFound, /n1 is not known here/));
  const local = fromBinary(LocalNetworkSchema, told(agent, "local-network").at(-1)?.value ?? new Uint8Array());
  assert.ok(local.deleted);
  const released = fromBinary(LocalMachineSchema, told(agent, "local-machine").at(-1)?.value ?? new Uint8Array());
  assert.equal(released.ips[0]?.network, "n1");
  await assert.rejects(
    ann.networks.delete({ id: "net", project }),
    refused(Code.FailedPrecondition, /network net is central's/),
  );
});

test("a network that central has adopted is central's to delete", async () => {
  const { agent, ann } = await granted();
  const { network } = await ann.networks.create({ project });
  await adopted(agent, network!);
  await assert.rejects(ann.networks.delete({ id: "n1", project }), refused(Code.FailedPrecondition, /n1 is central's/));
});

test("a deleted network is not in use, and is forgotten when the budget no longer has it", async () => {
  const { agent, ann, budgets } = await granted();
  await ann.networks.create({ project });
  await ann.networks.create({ project });
  await ann.networks.delete({ id: "n1", project });
  const recalled = clone(BudgetSchema, agent.ledger.get("budget", budgetId, BudgetSchema)!);
  Object.assign(recalled, { generation: 1n, recalled: recalled.free, free: noItems() });
  await tell(agent, item("budget", budgetId, BudgetSchema, recalled));
  await budgets.keep();
  const { used } = fromBinary(BudgetUseSchema, told(agent, "budget-use")[0]?.value ?? new Uint8Array());
  assert.deepEqual(used?.networks, ["n2"]);
  assert.ok(agent.site.locals.network("n1"));
  if (recalled.recalled) recalled.recalled.networks = ["n2"];
  await tell(agent, item("budget", budgetId, BudgetSchema, recalled));
  await budgets.keep();
  assert.deepEqual([agent.site.locals.network("n1"), networkOf(agent.site, "n1")], [undefined, undefined]);
});

test("who may only look makes no network, and what the agent does not serve it says so", async () => {
  const { as, ann } = await granted();
  await assert.rejects(as("vic").networks.create({ project }), refused(Code.PermissionDenied, /another role/));
  assert.equal((await as("vic").networks.list({ project })).networks.length, 1);
  const updateMeta = { lockingStrategy: OptimisticLockingStrategy.SERVER };
  await assert.rejects(ann.networks.update({ id: "net", project, updateMeta }), refused(Code.Unimplemented, /.*/));
});
