import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineAllocationType, MachineQuerySchema, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { MachineView } from "./placement.ts";
import { matchesMachine } from "./query.ts";

type Query = Omit<MessageInitShape<typeof MachineQuerySchema>, "$typeName">;

const taken: MachineView = {
  desired: create(MachineDesiredSchema, {
    uuid: "u1",
    partition: "p1",
    condition: { state: MachineState.LOCKED },
    meta: { labels: { labels: { own: "1" } } },
    allocation: {
      uuid: "a1",
      name: "web",
      project: "j1",
      image: { id: "debian-13.0.1" },
      filesystemLayout: { id: "default" },
      hostname: "web1",
      allocationType: MachineAllocationType.MACHINE,
      meta: { labels: { labels: { tier: "front" } } },
      vpn: { connected: true },
      networks: [
        { network: "n1", prefixes: ["10.0.0.0/22"], ips: ["10.0.0.2"], vrf: 42n, asn: 4210000001 },
        { network: "n2", prefixes: ["192.0.2.0/28"], destinationPrefixes: ["0.0.0.0/0"], ips: ["192.0.2.9"] },
      ],
    },
  }),
  observed: create(MachineObservedSchema, {
    uuid: "u1",
    size: "small",
    rack: "r1",
    room: "m1",
    waiting: true,
    bmc: { address: "10.9.0.1", mac: "00:00:00:00:00:09", user: "root", interface: "lanplus" },
    fru: {
      chassisPartNumber: "f1",
      chassisPartSerial: "f2",
      boardMfg: "f3",
      boardMfgSerial: "f4",
      boardPartNumber: "f5",
      productManufacturer: "f6",
      productPartNumber: "f7",
      productSerial: "f8",
    },
    hardware: {
      memory: 64n,
      cpus: [{ cores: 4 }, { cores: 4 }],
      disks: [{ name: "/dev/sda", size: 500n }],
      nics: [
        { mac: "00:00:00:00:00:01", name: "eth0", neighbors: [{ mac: "00:00:00:00:01:01", name: "swp1" }] },
        { mac: "00:00:00:00:00:02", name: "eth1" },
      ],
    },
  }),
};
const bare: MachineView = { desired: create(MachineDesiredSchema, { uuid: "u2" }), observed: undefined };
const matches = (m: MachineView, query: Query | undefined) =>
  matchesMachine(m, query && create(MachineQuerySchema, query));

test("no query, and one that asks for nothing, take every machine", () => {
  const empty: Query = { allocation: {}, network: {}, nic: {}, disk: {}, bmc: {}, fru: {}, hardware: {} };
  for (const query of [undefined, {}, empty]) {
    assert.deepEqual([matches(taken, query), matches(bare, query)], [true, true]);
  }
});

/** What the machine has, and what it has not; a machine of which nothing is known has neither. */
const rows: Readonly<Record<string, readonly [Query, Query]>> = {
  uuid: [{ uuid: "u1" }, { uuid: "u9" }],
  name: [{ name: "web" }, { name: "db" }],
  partition: [{ partition: "p1" }, { partition: "p2" }],
  size: [{ size: "small" }, { size: "large" }],
  rack: [{ rack: "r1" }, { rack: "r2" }],
  room: [{ room: "m1" }, { room: "m2" }],
  "labels of the machine": [{ labels: { labels: { own: "1" } } }, { labels: { labels: { own: "2" } } }],
  "labels of the allocation": [
    { labels: { labels: { own: "1", tier: "front" } } },
    { labels: { labels: { own: "1", tier: "back" } } },
  ],
  state: [{ state: MachineState.LOCKED }, { state: MachineState.TAINTED }],
  waiting: [{ waiting: true }, { waiting: true, rack: "r2" }],
  "allocation.uuid": [{ allocation: { uuid: "a1" } }, { allocation: { uuid: "a2" } }],
  "allocation.name": [{ allocation: { name: "web" } }, { allocation: { name: "db" } }],
  "allocation.project": [{ allocation: { project: "j1" } }, { allocation: { project: "j2" } }],
  "allocation.image": [{ allocation: { image: "debian-13.0.1" } }, { allocation: { image: "debian-13" } }],
  "allocation.filesystem_layout": [
    { allocation: { filesystemLayout: "default" } },
    { allocation: { filesystemLayout: "odd" } },
  ],
  "allocation.hostname": [{ allocation: { hostname: "web1" } }, { allocation: { hostname: "web2" } }],
  "allocation.allocation_type": [
    { allocation: { allocationType: MachineAllocationType.MACHINE } },
    { allocation: { allocationType: MachineAllocationType.FIREWALL } },
  ],
  "allocation.labels": [
    { allocation: { labels: { labels: { tier: "front" } } } },
    { allocation: { labels: { labels: { own: "1" } } } },
  ],
  "allocation.vpn": [{ allocation: { vpn: { connected: true } } }, { allocation: { vpn: { connected: false } } }],
  "network.networks": [{ network: { networks: ["n2", "n1"] } }, { network: { networks: ["n1", "n3"] } }],
  "network.prefixes": [{ network: { prefixes: ["10.0.0.0/22"] } }, { network: { prefixes: ["10.0.0.0/24"] } }],
  "network.destination_prefixes": [
    { network: { destinationPrefixes: ["0.0.0.0/0"] } },
    { network: { destinationPrefixes: ["::/0"] } },
  ],
  "network.ips": [{ network: { ips: ["10.0.0.2", "192.0.2.9"] } }, { network: { ips: ["10.0.0.3"] } }],
  "network.vrfs": [{ network: { vrfs: [42n] } }, { network: { vrfs: [43n] } }],
  "network.asns": [{ network: { asns: [4210000001] } }, { network: { asns: [4210000002] } }],
  "nic.macs": [{ nic: { macs: ["00:00:00:00:00:02"] } }, { nic: { macs: ["00:00:00:00:00:03"] } }],
  "nic.names": [{ nic: { names: ["eth0", "eth1"] } }, { nic: { names: ["eth0", "eth2"] } }],
  "nic.neighbor_macs": [
    { nic: { neighborMacs: ["00:00:00:00:01:01"] } },
    { nic: { neighborMacs: ["00:00:00:00:00:01"] } },
  ],
  "nic.neighbor_names": [{ nic: { neighborNames: ["swp1"] } }, { nic: { neighborNames: ["eth0"] } }],
  "disk.names": [{ disk: { names: ["/dev/sda"] } }, { disk: { names: ["/dev/sdb"] } }],
  "disk.sizes": [{ disk: { sizes: [500n] } }, { disk: { sizes: [501n] } }],
  "bmc.address": [{ bmc: { address: "10.9.0.1" } }, { bmc: { address: "10.9.0.2" } }],
  "bmc.mac": [{ bmc: { mac: "00:00:00:00:00:09" } }, { bmc: { mac: "00:00:00:00:00:01" } }],
  "bmc.user": [{ bmc: { user: "root" } }, { bmc: { user: "ADMIN" } }],
  "bmc.interface": [{ bmc: { interface: "lanplus" } }, { bmc: { interface: "lan" } }],
  "fru.chassis_part_number": [{ fru: { chassisPartNumber: "f1" } }, { fru: { chassisPartNumber: "-" } }],
  "fru.chassis_part_serial": [{ fru: { chassisPartSerial: "f2" } }, { fru: { chassisPartSerial: "-" } }],
  "fru.board_mfg": [{ fru: { boardMfg: "f3" } }, { fru: { boardMfg: "-" } }],
  "fru.board_serial": [{ fru: { boardSerial: "f4" } }, { fru: { boardSerial: "-" } }],
  "fru.board_part_number": [{ fru: { boardPartNumber: "f5" } }, { fru: { boardPartNumber: "-" } }],
  "fru.product_manufacturer": [{ fru: { productManufacturer: "f6" } }, { fru: { productManufacturer: "-" } }],
  "fru.product_part_number": [{ fru: { productPartNumber: "f7" } }, { fru: { productPartNumber: "-" } }],
  "fru.product_serial": [{ fru: { productSerial: "f8" } }, { fru: { productSerial: "-" } }],
  "hardware.memory": [{ hardware: { memory: 64n } }, { hardware: { memory: 65n } }],
  "hardware.cpu_cores": [{ hardware: { cpuCores: 8 } }, { hardware: { cpuCores: 4 } }],
};

describe("a query filters by", () => {
  for (const [name, [has, hasNot]] of Object.entries(rows)) {
    test(name, () => {
      assert.deepEqual([matches(taken, has), matches(taken, hasNot), matches(bare, has)], [true, false, false]);
    });
  }

  test("what a machine is not: allocated, waiting, held back, preallocated", () => {
    const both = (query: Query) => [matches(taken, query), matches(bare, query)];
    assert.deepEqual(both({ notAllocated: true }), [false, true]);
    assert.deepEqual(both({ notAllocated: false }), [true, false]);
    assert.deepEqual(both({ waiting: false }), [false, true]);
    assert.deepEqual(both({ state: MachineState.AVAILABLE }), [false, true]);
    assert.deepEqual(both({ preallocated: true }), [false, false]);
  });

  test("every field that the contract has, at any depth", () => {
    const fields = MachineQuerySchema.fields.flatMap((f) =>
      f.message?.typeName.endsWith("Query") ? f.message.fields.map((g) => `${f.name}.${g.name}`) : [f.name],
    );
    const elsewhere = ["preallocated", "not_allocated"];
    const named = new Set([...Object.keys(rows).map((row) => row.split(" ")[0]), ...elsewhere]);
    assert.deepEqual([...named].sort(), fields.sort());
  });
});
