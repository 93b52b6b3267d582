import { fail, ok, type Result } from "#lib/result.ts";

export interface Evictable {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly usedAtMs: number;
  readonly isInUse: boolean;
}

/**
 * Which images must go so that `neededBytes` more fit under `bytesMax`: those that were not used for the longest time.
 * @param takenBytes what is taken by others than `images`
 */
export function victims(
  images: readonly Evictable[],
  room: { readonly neededBytes: number; readonly takenBytes: number; readonly bytesMax: number },
): Result<readonly string[]> {
  const { neededBytes, takenBytes, bytesMax } = room;
  let excess = images.reduce((sum, i) => sum + i.sizeBytes, takenBytes + neededBytes) - bytesMax;
  const chosen: string[] = [];
  for (const image of images.filter((i) => !i.isInUse).sort((a, b) => a.usedAtMs - b.usedAtMs)) {
    if (excess <= 0) break;
    chosen.push(image.sha256);
    excess -= image.sizeBytes;
  }
  if (excess <= 0) return ok(chosen);
  return fail(`${neededBytes} bytes do not fit: the cache holds at most ${bytesMax}, and the rest of it is in use`);
}
