import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkSchema, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { badJoin } from "./joinable.ts";

const { MACHINE, FIREWALL } = MachineAllocationType;
const network = (id: string, type: NetworkType, prefix: string): Network =>
  create(NetworkSchema, { id, type, prefixes: [prefix] });
const home = network("home", NetworkType.CHILD, "10.0.0.0/22");
const shared = network("shared", NetworkType.CHILD_SHARED, "10.0.4.0/22");
const twin = network("twin", NetworkType.CHILD_SHARED, "10.0.0.0/24");
const internet = network("internet", NetworkType.EXTERNAL, "192.0.2.0/24");
const underlay = network("underlay", NetworkType.UNDERLAY, "10.255.0.0/24");
const above = network("above", NetworkType.SUPER, "10.0.0.0/8");

const rows: readonly [string, MachineAllocationType, readonly Network[], RegExp | undefined][] = [
  ["a machine joins one private network", MACHINE, [home], undefined],
  ["a machine joins external ones beside it", MACHINE, [internet, home], undefined],
  ["a machine has no second private network", MACHINE, [home, shared], /exactly one .* 2 are named/],
  ["a machine without a private network is refused", MACHINE, [internet], /0 are named/],
  ["a firewall joins private and external networks", FIREWALL, [home, shared, internet], undefined],
  ["a firewall without a private network is refused", FIREWALL, [internet], /at least one private/],
  ["a firewall without an external network is refused", FIREWALL, [home, shared], /at least one external/],
  ["a firewall between the same addresses is refused", FIREWALL, [home, twin, internet], /home and twin overlap/],
  ["nobody names the underlay", FIREWALL, [home, internet, underlay], /network underlay is a super or underlay/],
  ["nobody joins a super network", MACHINE, [above], /network above is a super/],
];
for (const [name, role, networks, wrong] of rows)
  test(name, () => {
    const bad = badJoin(role, networks);
    if (wrong === undefined) assert.equal(bad, undefined);
    else assert.match(bad ?? "", wrong);
  });
