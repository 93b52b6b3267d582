import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { QuotaSchema } from "#gen/holdfast/api/v1/quota_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { usedBy } from "../quota/keep-quota.ts";
import { kinds } from "../store/kinds.ts";
import { type MachineCentral, machineCentral } from "../testing/machines.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
  await central.waiting(4);
});
afterEach(() => central.close());

const limit = (limits: object) =>
  central.state.transact((tx) =>
    tx.put(kinds.quota, central.project, create(QuotaSchema, { project: central.project, limits })),
  );

const grant = async () => {
  const { project, network } = central;
  const { budget } = await central.client(BudgetService).grant({
    ...{ partition: "lab", project, size: "small", network, parentNetwork: "super" },
    ...{ machines: 3, addresses: 3, networks: 3 },
  });
  assert.ok(budget?.budget);
  const { machines = [], addresses = [], networks = [], networkAddresses = [] } = budget.budget.free ?? {};
  const ips = addresses.length + networkAddresses.length;
  return {
    id: budget.budget.id,
    got: { machines: machines.length, ips, networks: networks.length },
    problem: budget.problem,
  };
};

const overQuota = (e: unknown) => {
  assert.ok(e instanceof ConnectError && e.code === Code.ResourceExhausted && /quota/.test(e.message), String(e));
  return true;
};

test("a budget is filled up as far as the quota of its project allows", async () => {
  await limit({ machines: 2, ips: 5, networks: 3 });
  const { got, problem } = await grant();
  assert.deepEqual(got, { machines: 2, ips: 5, networks: 2 });
  assert.match(problem, /1 machines and 1 networks .* or the quota of project .* allows no more/);
});

test("what is delegated counts as the project's, so central gives it no more than its quota either", async () => {
  await limit({ machines: 3, ips: 12, networks: 4 });
  const { got } = await grant();
  assert.deepEqual(got, { machines: 3, ips: 12, networks: 3 });
  const { project, network } = central;
  assert.deepEqual(usedBy(central.state)(project), { machines: 3, ips: 12, networks: 4 });
  await assert.rejects(central.create(), overQuota);
  await assert.rejects(central.client(IPService).create({ project, network }), overQuota);
  await assert.rejects(central.client(NetworkService).create({ project, partition: "lab" }), overQuota);
});

test("a budget that waits for its project's quota is filled up when that grows, and writes nothing until then", async () => {
  await limit({ machines: 1, ips: 1, networks: 1 });
  const { id, got } = await grant();
  assert.deepEqual(got, { machines: 1, ips: 1, networks: 0 });
  const budgets = central.client(BudgetService);
  const look = () => budgets.resize({ id, machines: 3, addresses: 3 });
  const turns = () => central.state.get(kinds.claim, `turn/quota/${central.project}`)?.revision;
  const before = turns();
  await look();
  assert.equal(turns(), before);
  await limit({ machines: 2, ips: 100, networks: 3 });
  await look();
  const { free } = central.state.get(kinds.budget, id)!.value;
  assert.deepEqual([free?.machines.length, free?.networks.length, free?.networkAddresses.length], [2, 2, 6]);
});
