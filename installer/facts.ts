import type { Neighbour } from "./lldp.ts";
import type { Smbios } from "./smbios.ts";

/** What was read from the running server, as it was found; what follows from it is decided elsewhere. */
export interface Facts {
  readonly smbios: Smbios;
  /** Text of /proc/cpuinfo. */
  readonly cpuinfo: string;
  /** That the kernel can use. */
  readonly memoryBytes: number;
  readonly disks: readonly DiskFacts[];
  readonly nics: readonly NicFacts[];
  readonly firmware: "bios" | "uefi";
  readonly bmc: string | undefined;
}

export interface DiskFacts {
  /** Such as /dev/nvme0n1. */
  readonly device: string;
  readonly sizeBytes: number;
  readonly serial: string;
  readonly wwn: string;
  readonly model: string;
  readonly isRotational: boolean;
  /** The kernel can tell the disk that blocks are unused. */
  readonly canDiscard: boolean;
  /** As canDiscard, and the disk makes them unreadable. */
  readonly canSecureDiscard: boolean;
  readonly nvme: NvmeFacts | undefined;
}

/** What an NVMe controller can erase by itself. @source NVM Express Base Specification 2.0 figure 275 (OACS, FNA) */
export interface NvmeFacts {
  readonly canFormat: boolean;
  readonly canCryptoErase: boolean;
}

export interface NicFacts {
  readonly name: string;
  readonly mac: string;
  /** Mbit/s; 0 when there is no link or the driver does not say. */
  readonly speedMbit: number;
  /** PCI ids such as 0x1af4; empty for others. */
  readonly vendor: string;
  readonly model: string;
  readonly neighbours: readonly Neighbour[];
}
