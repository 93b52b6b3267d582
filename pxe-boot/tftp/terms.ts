import type { TftpOptions } from "./packet.ts";

/** What server and client agreed on for one transfer. */
export interface Terms {
  readonly blockBytes: number;
  /** Blocks on their way before an acknowledgement is wanted */
  readonly windowBlocks: number;
  readonly timeoutMs: number;
  /** What is acknowledged to the client; undefined when it asked for nothing that is known */
  readonly agreed: TftpOptions | undefined;
}

export interface TermLimits {
  /** What fits the path: 1468 fills an Ethernet frame, overlays take less */
  readonly blockBytesMax: number;
  readonly windowBlocksMax: number;
}

export const defaultTermLimits: TermLimits = { blockBytesMax: 1468, windowBlocksMax: 64 };

const blockBytesMin = 8;
const defaultTimeoutMs = 1000;

/**
 * Agrees on the known options whose values are valid, and leaves out the others.
 * @source RFC 2347, RFC 2348 (blksize), RFC 2349 (timeout, tsize), RFC 7440 (windowsize)
 */
export function agreeOnTerms(asked: TftpOptions, sizeBytes: number, limits: TermLimits): Terms {
  const agreed = new Map<string, string>();
  const number = (name: string, min: number, max: number): number | undefined => {
    const text = asked.get(name) ?? "";
    const value = Number(text);
    return /^\d{1,10}$/.test(text) && value >= min && value <= max ? value : undefined;
  };
  const block = number("blksize", blockBytesMin, 65_464);
  const blockBytes = block === undefined ? 512 : Math.min(block, limits.blockBytesMax);
  if (block !== undefined) agreed.set("blksize", String(blockBytes));
  const seconds = number("timeout", 1, 255);
  if (seconds !== undefined) agreed.set("timeout", String(seconds));
  if (asked.has("tsize")) agreed.set("tsize", String(sizeBytes));
  const window = number("windowsize", 1, 65_535);
  const windowBlocks = window === undefined ? 1 : Math.min(window, limits.windowBlocksMax);
  if (window !== undefined) agreed.set("windowsize", String(windowBlocks));
  return {
    blockBytes,
    windowBlocks,
    timeoutMs: seconds === undefined ? defaultTimeoutMs : seconds * 1000,
    agreed: agreed.size > 0 ? agreed : undefined,
  };
}
