import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  BudgetItemsSchema,
  LocalIpSchema,
  LocalMachineSchema,
  LocalNetworkSchema,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import { MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { IPSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineAllocationSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { effectiveDesired } from "./effective.ts";
import { effectiveNetwork } from "./effective-network.ts";
import { addressesIn, budgetLabel, isEmpty, usedItems, withItems, withoutItems } from "./items.ts";

const items = (more: object) => create(BudgetItemsSchema, more);

test("what is taken out of a budget and put back is all of it", () => {
  const all = items({
    ...{ machines: ["m1", "m2"], addresses: ["10.0.0.2"], asns: [1, 2] },
    ...{ networks: ["n1", "n2"], networkAddresses: ["n1/10.1.0.2", "n2/2001:db8::2"] },
  });
  const some = items({ machines: ["m2"], asns: [1], networks: ["n1"], networkAddresses: ["n2/2001:db8::2"] });
  const left = withoutItems(all, some);
  assert.deepEqual([left.networks, left.networkAddresses], [["n2"], ["n1/10.1.0.2"]]);
  const again = withItems(left, some);
  assert.deepEqual(withoutItems(all, again), items({}));
  assert.deepEqual(withoutItems(again, all), items({}));
  assert.ok(isEmpty(withoutItems(all, all)));
  assert.ok(!isEmpty(items({ networks: ["n1"] })) && !isEmpty(items({ networkAddresses: ["n1/10.1.0.2"] })));
});

test("the same address in two networks is two", () => {
  const budget = { network: "home" };
  const listed = items({ addresses: ["10.0.0.2"], networkAddresses: ["n1/10.0.0.2", "n1/10.0.0.3"] });
  assert.deepEqual(addressesIn("home", budget, listed), ["10.0.0.2"]);
  assert.deepEqual(addressesIn("n1", budget, listed), ["10.0.0.2", "10.0.0.3"]);
  const ips = [create(LocalIpSchema, { ip: create(IPSchema, { ip: "10.0.0.2", network: "n1" }) })];
  const left = withoutItems(listed, usedItems({ machines: [], ips, networks: [] }, budget));
  assert.deepEqual([left.addresses, left.networkAddresses], [["10.0.0.2"], ["n1/10.0.0.3"]]);
});

test("what was used stays used when it is given back", () => {
  const ip = create(IPSchema, { ip: "10.1.0.2", network: "n1" });
  const networks = [create(LocalNetworkSchema, { network: create(NetworkSchema, { id: "n1" }), deleted: true })];
  const allocation = create(MachineAllocationSchema, { networks: [{ network: "n1", asn: 7 }] });
  const machines = [create(LocalMachineSchema, { uuid: "m1", allocation, ips: [ip] })];
  const ips = [create(LocalIpSchema, { ip: create(IPSchema, { ip: "10.1.0.3", network: "n1" }), deleted: true })];
  const used = usedItems({ machines, ips, networks }, { network: "" });
  assert.deepEqual([used.machines, used.asns, used.networks], [["m1"], [7], ["n1"]]);
  assert.deepEqual(used.networkAddresses, ["n1/10.1.0.2", "n1/10.1.0.3"]);
});

test("a network is its partition's word until central has adopted it, and then central's", () => {
  const named = (name: string, labels: Record<string, string> = {}) =>
    create(NetworkSchema, { id: "n1", name, meta: { labels: { labels } } });
  const delegated = named("", { [budgetLabel]: "b" });
  const made = create(LocalNetworkSchema, { network: named("here") });
  const deleted = create(LocalNetworkSchema, { network: named("here"), deleted: true });
  const name = (...args: Parameters<typeof effectiveNetwork>) => effectiveNetwork(...args)?.name;
  assert.equal(name(delegated, undefined), undefined, "nobody has made it");
  assert.equal(name(delegated, made), "here");
  assert.equal(name(delegated, deleted), undefined);
  assert.equal(name(undefined, made), "here", "central was restored, and does not know of it");
  assert.equal(name(named("central"), made), "central");
  assert.equal(name(named("central"), deleted), "central", "it had adopted it before it heard");
  assert.equal(name(named("central"), undefined), "central");
  assert.equal(name(undefined, undefined), undefined);
});

test("a machine is its partition's word until central is at a later epoch, or at the same one with the same allocation", () => {
  const local = create(LocalMachineSchema, { uuid: "m1", epoch: 2n, allocation: { uuid: "here" } });
  const told = (epoch: bigint, allocation?: { readonly uuid: string }) =>
    create(MachineDesiredSchema, { uuid: "m1", epoch, ...(allocation && { allocation }) });
  const whose = (desired: ReturnType<typeof told> | undefined) =>
    effectiveDesired(desired, local, { partition: "p1", outbox: "o1" })?.allocation?.uuid;
  assert.equal(whose(undefined), "here");
  assert.equal(whose(told(1n)), "here");
  assert.equal(whose(told(2n)), "here", "a restored central has come to that epoch by itself");
  assert.equal(whose(told(2n, { uuid: "here" })), "here");
  assert.equal(whose(told(3n)), undefined);
  assert.equal(whose(told(3n, { uuid: "there" })), "there");
});
