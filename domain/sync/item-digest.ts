import type { DesiredItem } from "#gen/holdfast/sync/v1/sync_pb.ts";

/** Of all items of one kind. */
export interface KindDigest {
  readonly items: number;
  /** 64 bits, the same whatever the order of the items. */
  readonly digest: bigint;
}

type Digested = Pick<DesiredItem, "kind" | "id" | "revision" | "value">;

/**
 * By kind, so that two who should hold the same find out whether they do, and where they do not. It finds accidents, not attacks: the sum
 * of a short hash of each item.
 */
export function digestItems(items: Iterable<Digested>): ReadonlyMap<string, KindDigest> {
  const sums = new Map<string, { items: number; digest: bigint }>();
  for (const item of items) {
    const sum = sums.get(item.kind) ?? { items: 0, digest: 0n };
    sum.items++;
    sum.digest = BigInt.asUintN(64, sum.digest + itemHash(item));
    sums.set(item.kind, sum);
  }
  return sums;
}

/** Kinds of which the two do not hold the same. */
export const differingKinds = (
  mine: ReadonlyMap<string, KindDigest>,
  others: ReadonlyMap<string, KindDigest>,
): readonly string[] =>
  [...new Set([...mine.keys(), ...others.keys()])]
    .filter((kind) => {
      const [a, b] = [mine.get(kind), others.get(kind)];
      return a?.items !== b?.items || a?.digest !== b?.digest;
    })
    .sort();

/** Of one item: 64 bits. */
export function itemHash({ id, revision, value }: Digested): bigint {
  const hash = new Hash();
  for (let i = 0; i < id.length; i++) hash.add(id.charCodeAt(i));
  hash.add(Number(revision & 0xffff_ffffn));
  hash.add(Number((revision >> 32n) & 0xffff_ffffn));
  for (const byte of value) hash.add(byte);
  return hash.end();
}

/** Two lanes of a multiplying hash; odd constants with well-mixed bits. */
class Hash {
  #a = 0x9e3779b9;
  #b = 0x85ebca6b;

  add(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193);
    this.#b = Math.imul((this.#b ^ word) + (this.#a >>> 15), 0xc2b2ae35);
  }

  end(): bigint {
    const [a, b] = [this.#a ^ (this.#b >>> 13), this.#b ^ (this.#a >>> 16)];
    return (BigInt(a >>> 0) << 32n) | BigInt(b >>> 0);
  }
}
