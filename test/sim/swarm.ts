import { Seeded } from "#lib/seeded.ts";
import { drawn, type Fault, type Range } from "./fault.ts";
import { type FaultName, faultNames, faults } from "./faults.ts";

/** Between two strikes of one fault, in the mean: some are rare, some storm. */
export const everyMs: Range = [30_000, 3_600_000];

/** A fault that people have chosen, with what they have set of it: `everyMs`, and strengths by their names. */
export interface Chosen {
  readonly name: FaultName;
  readonly set: Readonly<Record<string, number>>;
}

/** A fault as one seed has it: the same whatever others the seed takes, so that it stays when those are dropped. */
export interface Taken extends Chosen {
  /** Mean time between two strikes. */
  readonly everyMs: number;
  /** By name, which ends in its unit. */
  readonly strength: Readonly<Record<string, number>>;
}

/** The faults that a seed takes: each with a chance that the seed itself decides, so that some runs have few and some have all. */
export function faultsOf(seed: number): readonly Taken[] {
  const random = new Seeded(seed).branch("swarm");
  const share = random.next();
  return faultNames.filter(() => random.chance(share)).map((name) => taken(seed, { name, set: {} }));
}

/** How often and how strongly the seed has it: what nobody has set, it draws. */
export function taken(seed: number, { name, set }: Chosen): Taken {
  const random = new Seeded(seed).branch("rates").branch(name);
  const draw = (key: string, range: Range) => set[key] ?? drawn(random.branch(key), range);
  const { strength = {} }: Fault = faults[name];
  const strengths = Object.entries(strength).map(([key, range]) => [key, draw(key, range)] as const);
  return { name, set, everyMs: draw("everyMs", everyMs), strength: Object.fromEntries(strengths) };
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

/** As `parseFaults` reads them. */
export const chosenText = (chosen: readonly Chosen[]): string =>
  chosen
    .map(({ name, set }) => [name, ...Object.entries(set).map(([key, value]) => `${key}=${value}`)].join(":"))
    .join(",") || "none";

/**
 * @param text names with commas between them, each with what is set of it, as in "link slow:delayMs=2000:everyMs=60000"; or "none"
 * @returns what is wrong with it, in words
 */
export function parseFaults(text: string): readonly Chosen[] | string {
  const chosen: Chosen[] = [];
  for (const one of text === "none" ? [] : text.split(",")) {
    const [name = "", ...settings] = one.split(":").map((part) => part.trim());
    if (!isFault(name)) return `no fault is called "${name}"`;
    const { strength = {} }: Fault = faults[name];
    const set = settings.map((setting) => setting.split("=")).map(([key = "", value]) => [key, Number(value)] as const);
    for (const [key, value] of set) {
      if (key !== "everyMs" && !Object.hasOwn(strength, key)) return `${name} has no "${key}"`;
      if (!(value > 0 && value <= (key.endsWith("Share") ? 1 : 1e9))) return `${name} cannot have ${key} ${value}`;
    }
    chosen.push({ name, set: Object.fromEntries(set) });
  }
  return chosen;
}

const isFault = (name: string): name is FaultName => Object.hasOwn(faults, name);
