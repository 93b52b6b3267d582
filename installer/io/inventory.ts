import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import { mem } from "systeminformation";
import { parseMac } from "#lib/net/mac.ts";
import type { DiskFacts, Facts, NicFacts } from "../facts.ts";
import { neighbours } from "../lldp.ts";
import { decodeSmbios, type Smbios } from "../smbios.ts";
import { nvmeFacts } from "../wipe.ts";
import { readProgram } from "./programs.ts";

/** Block devices that are no disks of the server: loops, memory, optical and floppy drives, multi-device and mapped ones. */
const notDisks = /^(loop|ram|zram|sr|fd|md|dm-|nbd)/;

export const readSmbios = (): Smbios => decodeSmbios(readBytes("/sys/firmware/dmi/tables/DMI"));

/**
 * What the server is made of. Of systeminformation only `mem` is asked: everything else of it starts shells and programs
 * that this initrd does not have, or shows fewer things than /sys does.
 */
export async function inventory(): Promise<Facts> {
  const [memory, disks, bmc] = await Promise.all([
    mem(),
    Promise.all(
      names("/sys/block")
        .filter((n) => !notDisks.test(n))
        .map(diskFacts),
    ),
    bmcAddress(),
  ]);
  return {
    smbios: readSmbios(),
    cpuinfo: readText("/proc/cpuinfo"),
    memoryBytes: memory.total,
    disks: disks.filter((d) => d !== undefined).sort((a, b) => (a.device < b.device ? -1 : 1)),
    nics: names("/sys/class/net").flatMap(nicFacts),
    firmware: existsSync("/sys/firmware/efi") ? "uefi" : "bios",
    bmc,
  };
}

async function diskFacts(name: string): Promise<DiskFacts | undefined> {
  const at = `/sys/block/${name}`;
  const sizeBytes = Number(readText(`${at}/size`)) * 512;
  const isRemovable = readText(`${at}/removable`) === "1";
  if (!existsSync(`${at}/device`) || sizeBytes === 0 || isRemovable || readText(`${at}/ro`) === "1") return undefined;
  return {
    device: `/dev/${name}`,
    sizeBytes,
    serial:
      readText(`${at}/serial`) || readText(`${at}/device/serial`) || serialInPage(readBytes(`${at}/device/vpd_pg80`)),
    wwn: readText(`${at}/wwid`) || readText(`${at}/device/wwid`),
    model: readText(`${at}/device/model`),
    isRotational: readText(`${at}/queue/rotational`) === "1",
    canDiscard: Number(readText(`${at}/queue/discard_max_bytes`)) > 0,
    canSecureDiscard: canSecureDiscard(name),
    nvme: name.startsWith("nvme") ? await nvmeController(name) : undefined,
  };
}

/** Only these drivers have it: virtio's feature 16 and memory cards. @source VIRTIO 1.2 §5.2.3; Linux drivers/mmc/core/queue.c */
const canSecureDiscard = (name: string): boolean =>
  name.startsWith("mmcblk") || (name.startsWith("vd") && readText(`/sys/block/${name}/device/features`)[16] === "1");

async function nvmeController(name: string) {
  const controller = name.replace(/n\d+$/, "");
  const identify = await readProgram("/usr/sbin/nvme", ["id-ctrl", `/dev/${controller}`, "--raw-binary"]);
  return nvmeFacts(identify);
}

/** Behind a header of four bytes. @source SCSI SPC-4 §7.8.13, unit serial number page */
const serialInPage = (page: Uint8Array): string => new TextDecoder("latin1").decode(page.subarray(4)).trim();

function nicFacts(name: string): NicFacts[] {
  const at = `/sys/class/net/${name}`;
  const mac = parseMac(readText(`${at}/address`));
  // Only what has hardware behind it: bridges, bonds and lo have none.
  if (!existsSync(`${at}/device`) || !mac.ok) return [];
  const pci = pciFolder(`${at}/device`);
  return [
    {
      name,
      mac: mac.value,
      speedMbit: Math.max(0, Number(readText(`${at}/speed`)) || 0),
      vendor: readText(`${pci}/vendor`),
      model: readText(`${pci}/device`),
      neighbours: neighbours(readBytes(`/run/holdfast/lldp-${name}`)),
    },
  ];
}

/** A virtio device lies below the PCI device that has the ids people know. */
function pciFolder(device: string): string {
  const real = realpathSync(device);
  return path.basename(real).startsWith("virtio") ? path.dirname(real) : real;
}

/** In-band, where the kernel has a driver for the BMC; the agent knows it from outside anyhow. */
async function bmcAddress(): Promise<string | undefined> {
  if (!existsSync("/dev/ipmi0") || !existsSync("/usr/bin/ipmitool")) return undefined;
  const text = new TextDecoder().decode(await readProgram("/usr/bin/ipmitool", ["lan", "print", "1"]));
  const address = /^IP Address\s*:\s*([0-9.]+)$/m.exec(text)?.[1];
  return address === undefined || address === "0.0.0.0" ? undefined : `${address}:623`;
}

const names = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

const readText = (file: string): string => new TextDecoder("latin1").decode(readBytes(file)).trim();

/** Empty when it is not there or not readable: a missing fact is not a failure. */
function readBytes(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch {
    return new Uint8Array(0);
  }
}
