import type { Mac } from "#lib/net/mac.ts";

/** How a kind of firmware fetches its boot program, and which one it is given unless configured otherwise. */
export interface Architecture {
  readonly name: string;
  readonly fetch: "tftp" | "http";
  /** Name below the boot files' folder; absent where no program is known to run. */
  readonly bootFile: string | undefined;
}

const tftp = (name: string, bootFile?: string): Architecture => ({ name, fetch: "tftp", bootFile });
const http = (name: string, bootFile?: string): Architecture => ({ name, fetch: "http", bootFile });

/**
 * Processor architecture types.
 * @source RFC 5970 §3.3 and its registry. 7 and 9 are both sent by x86-64 firmware (RFC 4578 errata).
 */
export const architectures: ReadonlyMap<number, Architecture> = new Map([
  [0, tftp("x86 BIOS", "undionly.kpxe")],
  [6, tftp("x86 UEFI")],
  [7, tftp("x86-64 UEFI", "snponly.efi")],
  [9, tftp("x86-64 UEFI (EBC)", "snponly.efi")],
  [10, tftp("ARM 32-bit UEFI")],
  [11, tftp("ARM 64-bit UEFI", "snponly-arm64.efi")],
  [15, http("x86 UEFI HTTP")],
  [16, http("x86-64 UEFI HTTP", "snponly.efi")],
  [17, http("EBC UEFI HTTP", "snponly.efi")],
  [18, http("ARM 32-bit UEFI HTTP")],
  [19, http("ARM 64-bit UEFI HTTP", "snponly-arm64.efi")],
  [20, http("x86 BIOS HTTP", "undionly.kpxe")],
  [21, tftp("ARM 32-bit U-Boot")],
  [22, tftp("ARM 64-bit U-Boot")],
  [25, tftp("RISC-V 32-bit UEFI")],
  [27, tftp("RISC-V 64-bit UEFI")],
  [28, http("RISC-V 64-bit UEFI HTTP")],
  [39, tftp("LoongArch 64-bit UEFI")],
  [40, http("LoongArch 64-bit UEFI HTTP")],
  [41, tftp("Raspberry Pi ROM")],
]);

/** Makers whose ROM claims architecture 0 but is none. */
const raspberryPi = ["28:cd:c1", "2c:cf:67", "b8:27:eb", "d8:3a:dd", "dc:a6:32", "e4:5f:01"];

/**
 * Which of the architectures that a client lists counts: the first that is known, else the first.
 * @param claimed in the order of option 93; the last ones are sometimes wrong
 */
export function pickArchitecture(claimed: readonly number[], mac: Mac | undefined): number | undefined {
  const picked = claimed.find((code) => architectures.has(code)) ?? claimed[0];
  return picked === 0 && mac !== undefined && raspberryPi.includes(mac.slice(0, 8)) ? 41 : picked;
}
