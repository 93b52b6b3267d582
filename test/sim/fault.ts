import type { Seeded } from "#lib/seeded.ts";
import type { Datacenter } from "./datacenter.ts";

/** Names of strengths end in their unit: milliseconds, a share of all (a probability, 0 to 1), or a number of things. */
export type Strength = `${string}${"Ms" | "Share" | "Count"}`;

export type Range = readonly [least: number, most: number];

/** One time that a fault happens. */
export interface Strike<S extends Strength> {
  /** As the seed has drawn it, for all its strikes. */
  readonly strength: Readonly<Record<S, number>>;
  /** Of this strike. */
  readonly random: Seeded;
}

/** One thing that goes wrong for a while. */
export interface Fault<S extends Strength = Strength> {
  /** Of one strike; short ones are more frequent than long ones, by their logarithm. */
  readonly lastsMs: Range;
  /** What a seed draws from, by the logarithm as well. */
  readonly strength?: Readonly<Record<S, Range>>;
  /** It does not strike while this is false. */
  isPossible?(at: Datacenter): boolean;
  /** @returns what ends it */
  begin(at: Datacenter, strike: Strike<S>): () => Promise<void> | void;
}

/** Lets the compiler see that a fault uses the strengths that it names. */
export const fault = <S extends Strength = never>(one: Fault<S>): Fault => one;

/** Between two bounds above 0, by its logarithm. */
export const drawn = (random: Seeded, [least, most]: Range): number =>
  Math.exp(random.between(Math.log(least), Math.log(most)));
