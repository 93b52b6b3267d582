// How the two families of switch systems name one and the same port. A front panel port has four lanes; broken out, each lane is a
// port of its own. Cumulus counts ports from 1 and breakouts from 0 (swp1, swp1s3), SONiC lanes from 0 (Ethernet0, Ethernet3).
// @source Cumulus Linux and SONiC port configuration guides
import { SwitchOSVendor as Vendor } from "#gen/metalstack/api/v2/switch_pb.ts";

const lanes = 4;

/** The port's first lane; undefined for a name that is not of that vendor's form. */
function laneOf(name: string, vendor: Vendor): number | undefined {
  if (vendor === Vendor.SWITCH_OS_VENDOR_CUMULUS) {
    const parts = /^swp([1-9]\d{0,3})(?:s([0-3]))?$/.exec(name);
    return parts ? (Number(parts[1]) - 1) * lanes + Number(parts[2] ?? 0) : undefined;
  }
  const parts = /^Ethernet(0|[1-9]\d{0,3})$/.exec(name);
  return parts ? Number(parts[1]) : undefined;
}

export interface NamedPort {
  readonly name: string;
  readonly vendor: Vendor;
}

/** Whether two leaves of a rack mean the same place of their front panels. Vendors that are not known name ports as they like. */
export function isSamePort(a: NamedPort, b: NamedPort): boolean {
  if (a.vendor === b.vendor || isUnknown(a) || isUnknown(b)) return a.name === b.name;
  const lane = laneOf(a.name, a.vendor);
  return lane !== undefined && lane === laneOf(b.name, b.vendor);
}

const isUnknown = ({ vendor }: NamedPort): boolean => vendor === Vendor.SWITCH_OS_VENDOR_UNSPECIFIED;
