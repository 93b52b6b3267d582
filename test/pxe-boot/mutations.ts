// Seeded random and mutated packets: the same ones in every run.

/** Numbers 0 ≤ n < bound. @source xorshift32, Marsaglia 2003 */
export function seeded(seed: number): (bound: number) => number {
  let x = seed;
  return (bound) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % bound;
  };
}

/** `count` packets: one in eight random, the others samples with some bytes changed, cut, doubled or put together. */
export function* mutated(samples: readonly Uint8Array[], count: number, seed: number): Iterable<Uint8Array> {
  const below = seeded(seed);
  const interesting = [0, 1, 2, 4, 5, 6, 7, 52, 53, 82, 127, 128, 175, 254, 255];
  for (let i = 0; i < count; i++) {
    if (i % 8 === 7) {
      const packet = new Uint8Array(below(700));
      for (let at = 0; at < packet.length; at++) packet[at] = below(256);
      yield packet;
      continue;
    }
    const sample = samples[below(samples.length)]!;
    let packet: Uint8Array = sample.slice();
    for (let changes = below(6); changes >= 0; changes--) {
      if (packet.length === 0) break;
      const at = below(packet.length);
      const how = below(10);
      if (how < 6) packet[at] = how < 3 ? below(256) : interesting[below(interesting.length)]!;
      else if (how === 6) packet = packet.slice(0, at);
      else if (how === 7) packet = joined(packet.subarray(0, at), packet.subarray(at - below(at + 1)));
      else if (how === 8) packet.copyWithin(at, below(packet.length));
      else packet = joined(packet.subarray(0, at), samples[below(samples.length)]!.subarray(at));
    }
    yield packet;
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
