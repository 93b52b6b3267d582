import { Seeded } from "#lib/seeded.ts";

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
  const random = new Seeded(seed).branch("fates");
  const order = shuffled(victims, random);
  const slotMs = (cutMs - 2 * quietMs) / order.length;
  return order.map((victim, i) => {
    const diesMs = quietMs + slotMs * (i + random.next() * 0.4);
    return { victim, diesMs: Math.round(diesMs), risesMs: Math.round(diesMs + slotMs * (0.1 + random.next() * 0.5)) };
  });
}

function shuffled<T>(all: readonly T[], random: Seeded): readonly T[] {
  const next = [...all];
  for (let i = next.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [next[i], next[j]] = [next[j]!, next[i]!];
  }
  return next;
}
