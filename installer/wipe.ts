import type { DiskFacts } from "./facts.ts";

/**
 * A way to make a disk's former content unreadable. The name goes into the evidence.
 * - `nvme-format-crypto`: the controller throws its key away; `nvme-format`: it erases all user data
 * - `secure-discard`, `discard`: the disk drops all blocks; then both ends are overwritten, where tables and labels are
 * - `overwrite`: every block is written with zeros
 * - `ends`: only both ends are; enough where the disk stays with whoever had it
 */
export type WipeMethod = "nvme-format-crypto" | "nvme-format" | "secure-discard" | "discard" | "overwrite" | "ends";

/** What was done to a disk, for the record. An error means: it must not be given to anybody. */
export interface WipeEvidence {
  readonly disk: DiskFacts;
  readonly method: WipeMethod | undefined;
  readonly tookMs: number;
  readonly error: string;
}

/**
 * Ways worth trying on a disk, the strongest first; when all fail, the disk is not wiped.
 * A spinning disk without discard keeps its data through everything but a full overwrite.
 */
export function wipeMethods(disk: DiskFacts): readonly WipeMethod[] {
  const nvme: WipeMethod[] =
    disk.nvme === undefined || !disk.nvme.canFormat
      ? []
      : disk.nvme.canCryptoErase
        ? ["nvme-format-crypto", "nvme-format"]
        : ["nvme-format"];
  const secure: WipeMethod[] = disk.canSecureDiscard ? ["secure-discard"] : [];
  const discard: WipeMethod[] = disk.canDiscard ? ["discard"] : [];
  return [...nvme, ...secure, ...discard, "overwrite"];
}

/**
 * Ways to make room for another system of the same tenant. None that a controller carries out: that may erase more than the one
 * disk (NVMe's FNA, bits 0 and 1), and the other may be one that is kept.
 */
export const clearMethods = (disk: DiskFacts): readonly WipeMethod[] =>
  disk.canDiscard ? ["discard", "ends"] : ["ends"];

export const isWiped = (evidence: readonly WipeEvidence[]): boolean => evidence.every((e) => e.error === "");

/** For people, in the event that says the machine waits: `wiped /dev/vda 4.0 GiB by discard in 0.1 s`. */
export function wipeSummary(evidence: readonly WipeEvidence[]): string {
  if (evidence.length === 0) return "no disk to wipe";
  return evidence
    .map((e) => {
      const disk = `${e.disk.device} ${(e.disk.sizeBytes / 2 ** 30).toFixed(1)} GiB`;
      return e.error === ""
        ? `wiped ${disk} by ${e.method} in ${(e.tookMs / 1000).toFixed(1)} s`
        : `${disk} not wiped: ${e.error}`;
    })
    .join("; ");
}

/** NVMe Identify Controller data: OACS at 256 (bit 1: Format NVM), FNA at 524 (bit 2: cryptographic erase). @source NVMe Base 2.0 figure 275 */
export function nvmeFacts(identify: Uint8Array): { readonly canFormat: boolean; readonly canCryptoErase: boolean } {
  return { canFormat: ((identify[256] ?? 0) & 2) !== 0, canCryptoErase: ((identify[524] ?? 0) & 4) !== 0 };
}
