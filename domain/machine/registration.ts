// What an installer says of a machine, as whoever serves it enters it: the partition's agent, or central where there is none.
import { create, toBinary } from "@bufbuild/protobuf";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineBMCSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Size } from "#gen/metalstack/api/v2/size_pb.ts";
import { type BootServiceRegisterRequest, BootServiceRegisterRequestSchema } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { hearSign } from "./hear.ts";
import { sizeOf } from "./size.ts";

/** Kept, written and reported with every change of the machine. */
const hardwareBytesMax = 256 << 10;

interface Known {
  /** Address of the interface that the machine booted by, in lower case; undefined where nobody can tell. */
  readonly bootMac: string | undefined;
  /** Another machine that has an interface with this address, in lower case. */
  readonly ownerOf: (mac: string) => MachineObserved | undefined;
}

/** Why a machine cannot be taken in as its installer describes it; undefined when it can. */
export function registrationRefusal(
  request: BootServiceRegisterRequest,
  { bootMac, ownerOf }: Known,
): Refusal | undefined {
  const { uuid, hardware } = request;
  const sizeBytes = toBinary(BootServiceRegisterRequestSchema, request).length;
  if (sizeBytes > hardwareBytesMax) {
    const text = `the hardware is described in ${sizeBytes} bytes, more than ${hardwareBytesMax}`;
    return new Refusal("invalid", text, { field: "hardware" });
  }
  const macs = (hardware?.nics ?? []).map((nic) => nic.mac.toLowerCase());
  if (bootMac !== undefined && !macs.includes(bootMac)) {
    const text = `the machine booted by ${bootMac}, but reports the interfaces ${macs.join(", ") || "none"}`;
    return new Refusal("invalid", text, { field: "hardware.nics" });
  }
  for (const mac of macs) {
    const owner = ownerOf(mac);
    if (owner) {
      const text = `MAC ${mac} is already machine ${owner.uuid}'s; ${uuid} reports it, too`;
      return new Refusal("precondition", text, { reason: "MAC_KNOWN_TWICE", field: "hardware.nics" });
    }
  }
  return undefined;
}

/** Enters what the installer found. @param m a draft, changed in place */
export function takeIn(
  m: MachineObserved,
  request: BootServiceRegisterRequest,
  { sizes, nowMs }: { readonly sizes: readonly Size[]; readonly nowMs: number },
): void {
  const size = request.hardware ? sizeOf(request.hardware, sizes) : undefined;
  m.size = size?.ok ? size.value : "";
  m.sizeProblem = size && !size.ok ? size.error : "";
  if (request.hardware) m.hardware = request.hardware;
  if (request.bios) m.bios = request.bios;
  if (request.fru) m.fru = request.fru;
  if (request.bmc && request.bmc.address !== "" && !m.bmc) {
    m.bmc = create(MachineBMCSchema, { ...request.bmc, user: "", password: "" });
  }
  m.installerVersion = request.metalHammerVersion;
  hearSign(m, nowMs);
}

/**
 * Enters that the installation ended well. One report counts once, however often it comes.
 * @param m a draft, changed in place
 * @returns whether it was news
 */
export function noteInstalled(m: MachineObserved, epoch: bigint, nowMs: number): boolean {
  hearSign(m, nowMs);
  m.lastFailure = "";
  if (m.installedEpoch === epoch && m.installedBoot === m.boot) return false;
  const progress = m.reinstall?.epoch === epoch ? m.reinstall : undefined;
  const isAgain = m.installedEpoch === epoch && progress?.installed === progress?.begun;
  m.installations = isAgain ? m.installations + 1 : 1;
  m.installedEpoch = epoch;
  m.installedBoot = m.boot;
  if (progress) m.reinstall = { ...progress, installed: progress.begun };
  return true;
}
