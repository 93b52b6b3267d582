/** Who dies during a cut, and when it is helped up again. Milliseconds since the beginning of the cut. */
export interface Fate {
  readonly victim: string;
  readonly diesMs: number;
  readonly risesMs: number;
}

const quietMs = 10_000;

/**
 * Each victim once, in an order and at times that the seed decides; one at a time, so that of three etcd members two live.
 * @param cutMs length of the cut; its first and last ten seconds are quiet
 */
export function fates(seed: number, victims: readonly string[], cutMs: number): readonly Fate[] {
  const random = randomFrom(seed);
  const order = shuffled(victims, random);
  const slotMs = (cutMs - 2 * quietMs) / order.length;
  return order.map((victim, i) => {
    const diesMs = quietMs + slotMs * (i + random() * 0.4);
    return { victim, diesMs: Math.round(diesMs), risesMs: Math.round(diesMs + slotMs * (0.1 + random() * 0.5)) };
  });
}

export function shuffled<T>(all: readonly T[], random: () => number): readonly T[] {
  const next = [...all];
  for (let i = next.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [next[i], next[j]] = [next[j]!, next[i]!];
  }
  return next;
}

/** Numbers from 0 to below 1, the same for the same seed (a 32-bit xorshift with a multiplied end). */
export function randomFrom(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (Math.imul(state >>> 0, 0x9e3779b1) >>> 0) / 2 ** 32;
  };
}
