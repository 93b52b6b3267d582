import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type MachineHardware, MachineHardwareSchema, type MetalCPUSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type BootServiceRegisterRequest, BootServiceRegisterRequestSchema } from "#gen/metalstack/infra/v2/boot_pb.ts";
import type { BootArguments } from "./boot-arguments.ts";
import type { Facts } from "./facts.ts";
import type { Neighbour } from "./lldp.ts";

/** Rules of the public contract on descriptions: trimmed, and not longer. */
const textMax = 256;

export function registration(facts: Facts, boot: BootArguments, version: string): BootServiceRegisterRequest {
  const { smbios } = facts;
  return create(BootServiceRegisterRequestSchema, {
    uuid: smbios.uuid,
    hardware: hardware(facts),
    bios: { vendor: short(smbios.bios.vendor), version: short(smbios.bios.version), date: short(smbios.bios.date) },
    fru: {
      ...said("chassisPartNumber", smbios.chassis.sku),
      ...said("chassisPartSerial", smbios.chassis.serial),
      ...said("boardMfg", smbios.board.manufacturer),
      ...said("boardMfgSerial", smbios.board.serial),
      ...said("boardPartNumber", smbios.board.product),
      ...said("productManufacturer", smbios.product.manufacturer),
      ...said("productPartNumber", smbios.product.sku || smbios.product.name),
      ...said("productSerial", smbios.product.serial),
    },
    ...(facts.bmc === undefined ? {} : { bmc: { address: facts.bmc } }),
    tags: [`firmware=${facts.firmware}`],
    metalHammerVersion: version,
    partition: boot.partition,
  });
}

export function hardware(facts: Facts): MachineHardware {
  return create(MachineHardwareSchema, {
    memory: BigInt(memoryBytes(facts)),
    cpus: cpus(facts.cpuinfo),
    disks: facts.disks.map((d) => ({ name: d.device, size: BigInt(d.sizeBytes) })),
    nics: facts.nics.map((n) => ({
      mac: n.mac,
      name: n.name,
      identifier: n.mac,
      vendor: n.vendor,
      model: n.model,
      speed: BigInt(n.speedMbit),
      neighbors: n.neighbours.map(neighbour),
    })),
  });
}

const neighbour = (n: Neighbour) => ({ mac: n.mac, name: n.port, identifier: n.port, hostname: n.systemName });

/** What is plugged in; the kernel's own figure is smaller by what the firmware keeps, which would miss a size's bounds. */
function memoryBytes(facts: Facts): number {
  const plugged = facts.smbios.memory.reduce((sum, m) => sum + m.sizeBytes, 0);
  return plugged > 0 ? plugged : facts.memoryBytes;
}

/** One entry per socket. @param cpuinfo text of /proc/cpuinfo */
export function cpus(cpuinfo: string): MessageInitShape<typeof MetalCPUSchema>[] {
  const sockets = new Map<string, { vendor: string; model: string; cores: Set<string>; threads: number }>();
  for (const block of cpuinfo.split(/\n\s*\n/)) {
    const fields = new Map(
      block.split("\n").map((line) => [line.split(":")[0]?.trim() ?? "", line.slice(line.indexOf(":") + 1).trim()]),
    );
    if (!fields.has("processor")) continue;
    const id = fields.get("physical id") ?? "0";
    const socket = sockets.get(id) ?? {
      vendor: fields.get("vendor_id") ?? "",
      model: fields.get("model name") ?? "",
      cores: new Set(),
      threads: 0,
    };
    socket.cores.add(fields.get("core id") ?? fields.get("processor") ?? "");
    socket.threads += 1;
    sockets.set(id, socket);
  }
  return [...sockets.values()].map((s) => ({
    vendor: s.vendor,
    model: s.model.replace(/\s+/g, " "),
    cores: s.cores.size,
    threads: s.threads,
  }));
}

const short = (text: string): string => text.trim().slice(0, textMax);

const said = (field: string, text: string): Record<string, string> =>
  short(text) === "" ? {} : { [field]: short(text) };
