import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type FilesystemLayout,
  FilesystemLayoutSchema,
  Format,
  GPTType,
} from "#gen/metalstack/api/v2/filesystem_pb.ts";
import type { Random } from "#lib/random.ts";
import type { DiskFacts, Facts } from "../facts.ts";

export const aDisk = (over: Partial<DiskFacts> = {}): DiskFacts => ({
  device: "/dev/vda",
  sizeBytes: 4 * 2 ** 30,
  serial: "DISK0",
  wwn: "",
  model: "",
  isRotational: false,
  canDiscard: true,
  canSecureDiscard: false,
  nvme: undefined,
  ...over,
});

export const someFacts = (over: Partial<Facts> = {}): Facts => ({
  smbios: {
    uuid: "6c2d1a4e-93b1-4a52-9a3e-111111111101",
    bios: { vendor: "SeaBIOS", version: "1.16", date: "04/01/2014" },
    product: { manufacturer: "Lab", name: "BM-1", serial: "SN-1", sku: "" },
    board: { manufacturer: "", product: "", serial: "" },
    chassis: { serial: "", sku: "" },
    memory: [{ slot: "DIMM 0", sizeBytes: 2 ** 30 }],
  },
  cpuinfo: "processor : 0\nvendor_id : AuthenticAMD\nmodel name : QEMU  Virtual CPU\n",
  memoryBytes: 1_000_000_000,
  disks: [aDisk()],
  nics: [{ name: "eth0", mac: "52:54:00:77:00:01", speedMbit: 0, vendor: "0x1af4", model: "0x1000", neighbours: [] }],
  firmware: "bios",
  bmc: undefined,
  ...over,
});

/** One disk with an EFI system partition of 64 MiB and the rest for /. */
export const aLayout = (over: MessageInitShape<typeof FilesystemLayoutSchema> = {}): FilesystemLayout =>
  create(FilesystemLayoutSchema, {
    id: "default",
    disks: [
      {
        device: "/dev/vda",
        partitions: [
          { number: 1, size: 64n, label: "efi", gptType: GPTType.GPT_TYPE_BOOT },
          { number: 2, size: 0n, label: "root", gptType: GPTType.GPT_TYPE_LINUX },
        ],
      },
    ],
    filesystems: [
      { device: "/dev/vda2", format: Format.EXT4, path: "/", label: "root" },
      { device: "/dev/vda1", format: Format.VFAT, path: "/boot/efi", label: "efi" },
    ],
    ...over,
  });

/** Counts up, so that what it gives can be told apart and is the same in every run. */
export function countingRandom(): Random {
  let next = 0;
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next++ & 0xff),
    below: (bound) => next++ % bound,
    uuid: () => `00000000-0000-4000-8000-${String(next++).padStart(12, "0")}`,
  };
}
