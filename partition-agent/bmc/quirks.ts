import type { DeviceId } from "./commands.ts";
import type { GuidOrder } from "./guid.ts";

/** In what a BMC differs from the specification, and what to do about it. */
export interface Quirks {
  readonly guidOrder: GuidOrder;
  /** Believe the boot device that it shows, though it says that the flags are not valid. */
  readonly ignoresValidFlag: boolean;
  /** Keeps the device alone: persistence and EFI are accepted and forgotten. */
  readonly keepsDeviceOnly: boolean;
}

/** Most makers send the SMBIOS structure's bytes, whatever the specification asks for. */
const usual: Quirks = { guidOrder: "smbios", ignoresValidFlag: false, keepsDeviceOnly: false };

export interface QuirkRow {
  readonly name: string;
  readonly manufacturerId: number;
  /** Absent: all of the maker's. */
  readonly productId?: number;
  /** What was seen, and where. */
  readonly evidence: string;
  readonly quirks: Partial<Quirks>;
}

/** Later rows win. */
export const quirkRows: readonly QuirkRow[] = [
  {
    name: "ipmi_sim with a chassis program",
    manufacturerId: 0x1291,
    productId: 0x0f02,
    evidence: "OpenIPMI 2.0.33: Get System Boot Options answers device with flags 0x00 after any Set",
    quirks: { ignoresValidFlag: true, keepsDeviceOnly: true },
  },
];

export function quirksOf(device: Pick<DeviceId, "manufacturerId" | "productId">): Quirks {
  const rows = quirkRows
    .filter((row) => row.manufacturerId === device.manufacturerId)
    .filter((row) => row.productId === undefined || row.productId === device.productId);
  return Object.assign({}, usual, ...rows.map((row) => row.quirks)) as Quirks;
}
