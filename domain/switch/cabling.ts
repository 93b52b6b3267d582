// Which ports a machine is cabled to, by what its interfaces heard of their neighbours (LLDP), in partitions whose switches speak to
// central. A rack has one leaf switch or two, and its machines are at the same port of both.
import { create } from "@bufbuild/protobuf";
import type { MachineHardware } from "#gen/metalstack/api/v2/machine_pb.ts";
import {
  MachineConnectionSchema,
  type Switch,
  type SwitchNic,
  SwitchOSVendor,
  SwitchSchema,
} from "#gen/metalstack/api/v2/switch_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { isSamePort } from "./port-names.ts";

const leavesMax = 2;

interface Cable {
  readonly leaf: Switch;
  readonly nic: SwitchNic;
}

/**
 * What changes of the switches when a machine registers with this hardware.
 * @param switches of its partition, as they are stored
 * @returns the switches that are not as they were, and the leaves that the machine is at now: none when none is known
 * @throws Refusal "precondition" CABLING that names the ports: such a machine would get half of its networks
 */
export function cabled(
  uuid: string,
  hardware: MachineHardware | undefined,
  switches: readonly Switch[],
): { readonly changed: readonly Switch[]; readonly leaves: readonly Switch[] } {
  const cables = cablesOf(hardware, switches);
  if (cables.length === 0) return { changed: [], leaves: [] };
  checkCables(uuid, cables);
  for (const { leaf, nic } of cables) checkFree(uuid, leaf, nic);
  const changed = switches.flatMap((s) => {
    const cable = cables.find(({ leaf }) => leaf.id === s.id);
    const before = s.machineConnections.find((c) => c.machineId === uuid);
    if (cable?.nic.name === before?.nic?.name) return [];
    const others = s.machineConnections.filter((c) => c.machineId !== uuid);
    const own = cable ? [create(MachineConnectionSchema, { machineId: uuid, nic: cable.nic })] : [];
    return [create(SwitchSchema, { ...s, machineConnections: [...others, ...own] })];
  });
  return { changed, leaves: cables.map((c) => c.leaf) };
}

function cablesOf(hardware: MachineHardware | undefined, switches: readonly Switch[]): readonly Cable[] {
  const neighbors = (hardware?.nics ?? []).flatMap((n) => n.neighbors);
  return switches.flatMap((leaf) => {
    const heard = neighbors.filter((n) => n.hostname === leaf.id);
    const nics = leaf.nics.filter((nic) => heard.some((n) => n.name === nic.name || n.identifier === nic.identifier));
    return nics.map((nic) => ({ leaf, nic }));
  });
}

function checkCables(uuid: string, cables: readonly Cable[]): void {
  const ids = new Set(cables.map((c) => c.leaf.id));
  const places = cables.map(({ leaf, nic }) => `${leaf.id} ${nic.name}`).join(", ");
  if (ids.size > leavesMax || ids.size < cables.length) throw wrong(uuid, `one port of each leaf is wanted`, places);
  const racks = new Set(cables.map(({ leaf }) => leaf.rack ?? ""));
  if (racks.size > 1) throw wrong(uuid, `the leaves are of several racks: ${[...racks].join(", ")}`, places);
  const [first, second] = cables.map(({ leaf, nic }) => ({ name: nic.name, vendor: vendorOf(leaf) }));
  if (first && second && !isSamePort(first, second)) throw wrong(uuid, "the ports of both leaves differ", places);
}

export const vendorOf = (s: Switch): SwitchOSVendor => s.os?.vendor ?? SwitchOSVendor.SWITCH_OS_VENDOR_UNSPECIFIED;

function checkFree(uuid: string, leaf: Switch, nic: SwitchNic): void {
  const other = leaf.machineConnections.find((c) => c.nic?.name === nic.name && c.machineId !== uuid);
  if (!other) return;
  throw wrong(
    uuid,
    `the port is machine ${other.machineId}'s: delete that one first if it is gone`,
    `${leaf.id} ${nic.name}`,
  );
}

const wrong = (uuid: string, why: string, places: string): Refusal =>
  new Refusal("precondition", `machine ${uuid} at ${places}: ${why}`, { reason: "CABLING", field: "hardware.nics" });
