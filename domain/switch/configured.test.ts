// What a switch's daemon is told of each port, by who is behind it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type IP, IPSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkSchema, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { machineLabel } from "../ip/machine-label.ts";
import type { MachineView } from "../machine/placement.ts";
import { configured } from "./configured.ts";

const { MACHINE, FIREWALL } = MachineAllocationType;
const home = { network: "home", networkType: NetworkType.CHILD, vrf: 20n, ips: ["10.0.0.2"] };
const between = [
  { network: "internet", networkType: NetworkType.EXTERNAL, vrf: 104009n, ips: ["192.0.2.2"] },
  home,
  { network: "twin", networkType: NetworkType.CHILD, vrf: 20n, ips: ["10.0.4.2"] },
  { network: "underlay", networkType: NetworkType.UNDERLAY, vrf: 0n, ips: ["10.255.0.2"] },
];

const view = (
  uuid: string,
  allocationType: MachineAllocationType,
  networks: object[],
  isInstalled = true,
): MachineView => ({
  desired: create(MachineDesiredSchema, { uuid, epoch: 2n, allocation: { allocationType, networks, project: "p" } }),
  observed: create(MachineObservedSchema, { uuid, installedEpoch: isInstalled ? 2n : 0n }),
});
const ip = (text: string, machine: string): IP =>
  create(IPSchema, { ip: text, project: "p", meta: { labels: { labels: { [machineLabel]: machine } } } });
const loopback = create(IPSchema, { ip: "10.255.0.9", project: "p", network: "underlay" });

/** A switch with a port for each of these. */
function ports(...views: MachineView[]) {
  const nics = views.map((_, i) => ({ name: `swp${i + 1}` }));
  const machineConnections = views.map(({ desired }, i) => ({ machineId: desired.uuid, nic: nics[i]! }));
  const networks = [
    create(NetworkSchema, { id: "home", vrf: 20, prefixes: ["10.0.0.0/22"] }),
    create(NetworkSchema, { id: "underlay", type: NetworkType.UNDERLAY }),
  ];
  return configured(create(SwitchSchema, { id: "leaf", nics, machineConnections }), {
    machine: (uuid) => views.find(({ desired }) => desired.uuid === uuid),
    network: (id) => networks.find((network) => network.id === id),
    ipsOf: () => [ip("10.0.0.2", "f"), ip("192.0.2.2", "f"), ip("10.255.0.2", "f"), ip("192.0.2.7", "m"), loopback],
  }).map(({ vrf, bgpFilter }) => [vrf, bgpFilter?.cidrs, bgpFilter?.vnis]);
}

test("a firewall is the fabric's own neighbour: it may announce itself in the underlay, and the routes of its networks", () => {
  assert.deepEqual(ports(view("f", FIREWALL, between)), [["default", ["10.255.0.2/32"], ["20", "104009"]]]);
});

test("a firewall that is not installed yet is where machines are provisioned", () => {
  assert.deepEqual(ports(view("f", FIREWALL, between, false)), [[undefined, undefined, undefined]]);
});

test("no machine may announce the addresses of a firewall of its project, or those that it holds in the fabric", () => {
  const [machine] = ports(view("m", MACHINE, [home]), view("f", FIREWALL, between));
  assert.deepEqual(machine, ["vrf20", ["10.0.0.0/22", "192.0.2.7/32"], []]);
});
