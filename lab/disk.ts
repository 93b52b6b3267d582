import { open } from "node:fs/promises";

const blockBytes = 1 << 20;

/** Whether a disk's file holds these bytes anywhere. */
export async function diskHolds(file: string, needle: Buffer): Promise<boolean> {
  const handle = await open(file, "r");
  try {
    // The end of one block is kept in front of the next, so that a needle across a border is found.
    const keep = needle.length - 1;
    const buffer = Buffer.alloc(keep + blockBytes);
    for (let at = 0; ; ) {
      const { bytesRead } = await handle.read(buffer, keep, blockBytes, at);
      if (bytesRead === 0) return false;
      if (buffer.subarray(0, keep + bytesRead).includes(needle)) return true;
      buffer.copyWithin(0, bytesRead, bytesRead + keep);
      at += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** Whether the disk's second sector begins a partition table (UEFI 2.10 §5.3.2). */
export const hasPartitionTable = (file: string): Promise<boolean> => startsWithAt(file, 512, "EFI PART");

async function startsWithAt(file: string, offset: number, text: string): Promise<boolean> {
  const handle = await open(file, "r");
  try {
    const buffer = Buffer.alloc(text.length);
    await handle.read(buffer, 0, buffer.length, offset);
    return buffer.toString("latin1") === text;
  } finally {
    await handle.close();
  }
}
