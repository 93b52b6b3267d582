import type { Labels } from "#gen/metalstack/api/v2/common_pb.ts";
import { type MachineQuery, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { isWanted as is } from "../wanted.ts";
import type { MachineView } from "./placement.ts";

/** Whether a machine fits a query: every field that is set must hold; in lists, every item must be found. */
export function matchesMachine({ desired, observed }: MachineView, query: MachineQuery | undefined): boolean {
  if (!query) return true;
  const { allocation } = desired;
  return (
    is(query.uuid, desired.uuid) &&
    is(query.name, allocation?.name) &&
    is(query.partition, desired.partition) &&
    is(query.size, observed?.size) &&
    is(query.rack, observed?.rack) &&
    is(query.room, observed?.room) &&
    labelled(query.labels, { ...desired.meta?.labels?.labels, ...allocation?.meta?.labels?.labels }) &&
    is(query.state, desired.condition?.state ?? MachineState.AVAILABLE) &&
    is(query.waiting, observed?.waiting ?? false) &&
    is(query.preallocated, false) &&
    is(query.notAllocated, allocation === undefined) &&
    matchesAllocation({ desired, observed }, query) &&
    matchesHardware({ desired, observed }, query)
  );
}

function matchesAllocation(
  { desired: { allocation } }: MachineView,
  { allocation: a, network: n }: MachineQuery,
): boolean {
  const networks = allocation?.networks ?? [];
  return (
    (!a ||
      (is(a.uuid, allocation?.uuid) &&
        is(a.name, allocation?.name) &&
        is(a.project, allocation?.project) &&
        is(a.image, allocation?.image?.id) &&
        is(a.filesystemLayout, allocation?.filesystemLayout?.id) &&
        is(a.hostname, allocation?.hostname) &&
        is(a.allocationType, allocation?.allocationType) &&
        labelled(a.labels, allocation?.meta?.labels?.labels ?? {}) &&
        (!a.vpn || is(a.vpn.connected, allocation?.vpn?.connected)))) &&
    (!n ||
      (holds(
        n.networks,
        networks.map((x) => x.network),
      ) &&
        holds(
          n.prefixes,
          networks.flatMap((x) => x.prefixes),
        ) &&
        holds(
          n.destinationPrefixes,
          networks.flatMap((x) => x.destinationPrefixes),
        ) &&
        holds(
          n.ips,
          networks.flatMap((x) => x.ips),
        ) &&
        holds(
          n.vrfs,
          networks.map((x) => x.vrf),
        ) &&
        holds(
          n.asns,
          networks.map((x) => x.asn),
        )))
  );
}

function matchesHardware({ observed }: MachineView, { nic, disk, bmc, fru, hardware }: MachineQuery): boolean {
  const nics = observed?.hardware?.nics ?? [];
  const neighbors = nics.flatMap((x) => x.neighbors);
  const disks = observed?.hardware?.disks ?? [];
  const seen = observed?.fru;
  return (
    (!nic ||
      (holds(
        nic.macs,
        nics.map((x) => x.mac),
      ) &&
        holds(
          nic.names,
          nics.map((x) => x.name),
        ) &&
        holds(
          nic.neighborMacs,
          neighbors.map((x) => x.mac),
        ) &&
        holds(
          nic.neighborNames,
          neighbors.map((x) => x.name),
        ))) &&
    (!disk ||
      (holds(
        disk.names,
        disks.map((x) => x.name),
      ) &&
        holds(
          disk.sizes,
          disks.map((x) => x.size),
        ))) &&
    (!bmc ||
      (is(bmc.address, observed?.bmc?.address) &&
        is(bmc.mac, observed?.bmc?.mac) &&
        is(bmc.user, observed?.bmc?.user) &&
        is(bmc.interface, observed?.bmc?.interface))) &&
    (!fru ||
      (is(fru.chassisPartNumber, seen?.chassisPartNumber) &&
        is(fru.chassisPartSerial, seen?.chassisPartSerial) &&
        is(fru.boardMfg, seen?.boardMfg) &&
        is(fru.boardSerial, seen?.boardMfgSerial) &&
        is(fru.boardPartNumber, seen?.boardPartNumber) &&
        is(fru.productManufacturer, seen?.productManufacturer) &&
        is(fru.productPartNumber, seen?.productPartNumber) &&
        is(fru.productSerial, seen?.productSerial))) &&
    (!hardware ||
      (is(hardware.memory, observed?.hardware?.memory) &&
        is(
          hardware.cpuCores,
          observed?.hardware?.cpus.reduce((n, c) => n + c.cores, 0),
        )))
  );
}

const holds = <T>(wanted: readonly T[], have: readonly T[]): boolean => wanted.every((w) => have.includes(w));

const labelled = (wanted: Labels | undefined, have: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted?.labels ?? {}).every(([key, value]) => have[key] === value);
