import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { MachineAllocationSchema, MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { homePlan, unreadableDestinations } from "./home-plan.ts";

const mac = "52:54:00:77:00:01";
const home = {
  networkType: NetworkType.CHILD,
  prefixes: ["10.0.0.0/22", "fd00::/64"],
  destinationPrefixes: ["0.0.0.0/0", "::/0"],
  ips: ["10.0.0.2", "fd00::2"],
};
const internet = {
  networkType: NetworkType.EXTERNAL,
  prefixes: ["192.0.2.0/24"],
  destinationPrefixes: ["0.0.0.0/0", "198.51.100.0/24"],
  ips: ["192.0.2.2"],
};
const underlay = { networkType: NetworkType.UNDERLAY, prefixes: ["10.255.0.0/24"], ips: ["10.255.0.2"] };

const plan = (allocationType: MachineAllocationType, networks: object[]) =>
  homePlan(create(MachineAllocationSchema, { allocationType, networks }), mac).map((i) => ({
    at: i.mac || i.name,
    mtu: i.mtu,
    addresses: i.addresses,
    routes: i.routes.map((r) => `${r.destination} by ${r.gateway}`),
  }));

test("a machine leaves through its private network, and elsewhere for what only that leads to", () => {
  assert.deepEqual(plan(MachineAllocationType.MACHINE, [home, internet]), [
    {
      at: mac,
      mtu: 1500,
      addresses: ["10.0.0.2/22", "fd00::2/64", "192.0.2.2/24"],
      routes: ["0.0.0.0/0 by 10.0.0.1", "::/0 by fd00::1", "198.51.100.0/24 by 192.0.2.1"],
    },
  ]);
});

test("a firewall leaves through external networks only, and is at its underlay address by its loopback interface", () => {
  assert.deepEqual(plan(MachineAllocationType.FIREWALL, [home, internet, underlay]), [
    {
      at: mac,
      mtu: 1500,
      addresses: ["10.0.0.2/22", "fd00::2/64", "192.0.2.2/24"],
      routes: ["0.0.0.0/0 by 192.0.2.1", "198.51.100.0/24 by 192.0.2.1"],
    },
    { at: "lo", mtu: 0, addresses: ["10.255.0.2/32"], routes: [] },
  ]);
});

test("a network without destinations leads everywhere, one with a destination that cannot be read does not", () => {
  const routes = (destinationPrefixes: string[]) =>
    plan(MachineAllocationType.MACHINE, [{ ...home, destinationPrefixes }])[0]?.routes;
  assert.deepEqual(routes([]), ["0.0.0.0/0 by 10.0.0.1", "::/0 by fd00::1"]);
  assert.deepEqual(routes(["10.0.0.1/8", "2001:DB8:0::/32"]), ["2001:db8::/32 by fd00::1"]);
  const networks = [{ ...home, destinationPrefixes: ["10.0.0.1/8", "2001:db8::/32", "2001:db8::1/32"] }];
  const unreadable = unreadableDestinations(create(MachineAllocationSchema, { networks }));
  assert.deepEqual(unreadable, ["10.0.0.1/8", "2001:db8::1/32"]);
});
