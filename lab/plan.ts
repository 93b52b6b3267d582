import { createHash } from "node:crypto";
import path from "node:path";
import { type Ipv4, type Ipv4Prefix, ipv4Text } from "#lib/net/ipv4.ts";
import { type Mac, macOf } from "#lib/net/mac.ts";
import type { LabOptions } from "./options.ts";

export type Firmware = "bios" | "uefi";

/** One virtual server and its BMC, before anything of it exists. */
export interface MachinePlan {
  readonly number: number;
  readonly name: string;
  readonly firmware: Firmware;
  readonly uuid: string;
  readonly serial: string;
  readonly mac: Mac;
  /** Host end of its network cable, which is the name of the switch port as well. */
  readonly tap: string;
  readonly bmcAddress: string;
  readonly memoryMb: number;
  readonly diskGb: number;
  /** Port on loopback where QEMU reports resets and shutdowns. */
  readonly qmpPort: number;
  /** And where the BMC finds the server's serial line. */
  readonly serialPort: number;
  /** Disk, logs and BMC state of this machine. */
  readonly folder: string;
  /** Comes into the datacenter only when somebody plugs it in. */
  readonly isLate: boolean;
}

/** Every name, address and port of one lab. */
export interface LabPlan {
  readonly name: string;
  readonly folder: string;
  readonly partition: string;
  readonly switchId: string;
  readonly rack: string;
  readonly provisioning: {
    readonly bridge: string;
    readonly prefix: Ipv4Prefix;
    /** The agent's address, and the router's. */
    readonly address: string;
    readonly from: string;
    readonly to: string;
  };
  readonly management: { readonly address: string; readonly firstBmc: string; readonly lastBmc: string };
  /** Central's address, and the image server's. */
  readonly core: string;
  /** The cable to a core that is a network of its own; `core` is then central's second address there, and the one that is cut. */
  readonly wan: { readonly prefix: Ipv4Prefix; readonly site: string; readonly core: string };
  /** Whether central is behind that cable instead of in the partition's own network. */
  readonly isApart: boolean;
  readonly agentPort: number;
  readonly centralPort: number;
  readonly imagePort: number;
  /** Where the agent serves members of projects that have a budget. */
  readonly siteApiPort: number;
  /** Where a BMC's chassis program asks for its machine, on loopback. */
  readonly chassisPort: number;
  readonly bmcUser: string;
  readonly machines: readonly MachinePlan[];
}

const bmcOffset = 10;
const chassisPort = 9400;
const firstSerialPort = 9500;
const siteApiPort = 8445;

export function labPlan(options: LabOptions): LabPlan {
  const folder = path.resolve(options.folder);
  const host = (prefix: Ipv4Prefix, offset: number): string => ipv4Text(((prefix.network + offset) >>> 0) as Ipv4);
  const size = 2 ** (32 - options.provisioning.length);
  return {
    name: options.name,
    folder,
    partition: "lab",
    switchId: "leaf1",
    rack: "rack1",
    provisioning: {
      bridge: "prov",
      prefix: options.provisioning,
      address: host(options.provisioning, 1),
      from: host(options.provisioning, Math.min(100, size / 2)),
      to: host(options.provisioning, Math.min(199, size - 2)),
    },
    management: {
      address: host(options.management, 1),
      firstBmc: host(options.management, bmcOffset + 1),
      lastBmc: host(options.management, bmcOffset + options.machines),
    },
    core: options.core,
    wan: { prefix: options.wan, site: host(options.wan, 2), core: host(options.wan, 1) },
    isApart: options.task === "autonomy",
    agentPort: options.agentPort,
    centralPort: options.centralPort,
    imagePort: options.imagePort,
    siteApiPort,
    chassisPort,
    bmcUser: "admin",
    machines: Array.from({ length: options.machines }, (_, index) => {
      const number = index + 1;
      return {
        number,
        name: `m${number}`,
        firmware: firmwareOf(options, number),
        uuid: uuidOf(`holdfast lab machine ${number}`),
        serial: `HF-LAB-${String(number).padStart(4, "0")}`,
        mac: macOf(Uint8Array.of(0x52, 0x54, 0x00, 0x77, number >> 8, number & 255)),
        tap: `tap${number}`,
        bmcAddress: host(options.management, bmcOffset + number),
        memoryMb: options.memoryMb,
        diskGb: options.diskGb,
        qmpPort: chassisPort + number,
        serialPort: firstSerialPort + number,
        folder: path.join(folder, `m${number}`),
        isLate: options.task === "autonomy" && number === options.machines,
      };
    }),
  };
}

function firmwareOf(options: LabOptions, number: number): Firmware {
  if (options.firmware !== "mixed") return options.firmware;
  return number % 2 === 1 ? "bios" : "uefi";
}

/** The same text gives the same UUID, so that a machine of the lab is the same machine in every run (RFC 9562 §5.8). */
export function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return uuidText(bytes);
}

export function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}
