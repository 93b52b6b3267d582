import { Seeded } from "#lib/seeded.ts";
import { drawn, type Fault, type Range } from "./fault.ts";
import { type FaultName, faultNames, faults } from "./faults.ts";

/** Between two strikes of one fault, in the mean: some are rare, some storm. */
export const everyMs: Range = [30_000, 3_600_000];

/** A fault as one seed has it: the same whatever others the seed takes, so that it stays when those are dropped. */
export interface Taken {
  readonly name: FaultName;
  /** Mean time between two strikes. */
  readonly everyMs: number;
  /** By name, which ends in its unit. */
  readonly strength: Readonly<Record<string, number>>;
}

/** The faults that a seed takes: each with a chance that the seed itself decides, so that some runs have few and some have all. */
export function faultsOf(seed: number): readonly FaultName[] {
  const random = new Seeded(seed).branch("swarm");
  const share = random.next();
  return faultNames.filter(() => random.chance(share));
}

/** How often and how strongly the seed has each of these. */
export function swarm(seed: number, names: readonly FaultName[]): readonly Taken[] {
  return names.map((name) => {
    const random = new Seeded(seed).branch("rates").branch(name);
    const { strength = {} }: Fault = faults[name];
    const every = drawn(random, everyMs);
    const strengths = Object.entries(strength).map(([key, range]) => [key, drawn(random.branch(key), range)] as const);
    return { name, everyMs: every, strength: Object.fromEntries(strengths) };
  });
}

/** In words. */
export function takenText({ name, everyMs: every, strength }: Taken): string {
  const strengths = Object.entries(strength).map(([key, value]) => `, ${key} ${+value.toPrecision(2)}`);
  return `${name} every ${Math.round(every / 1000)} s${strengths.join("")}`;
}

/** Every fault with what it draws from, one a line. */
export function faultList(): string {
  const width = Math.max(...faultNames.map((name) => name.length));
  const lines = faultNames.map((name) => {
    const { lastsMs, strength = {} }: Fault = faults[name];
    const ranges = Object.entries({ lastsMs, ...strength }).map(([key, [least, most]]) =>
      least === most ? "" : `${key} ${least} to ${most}`,
    );
    return `  ${name.padEnd(width)}  ${ranges.filter((range) => range !== "").join(", ") || "at once"}`;
  });
  return `${lines.join("\n")}\neach strikes every ${everyMs[0]} to ${everyMs[1]} ms in the mean\n`;
}

/** @param text names with commas between them, or "none". @returns what is wrong with it, in words */
export function parseFaults(text: string): readonly FaultName[] | string {
  const names = text === "none" ? [] : text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !Object.hasOwn(faults, name));
  return unknown === undefined ? faultNames.filter((name) => names.includes(name)) : `no fault is called "${unknown}"`;
}
