// All standings that a machine can come to, breadth first; and where each comes to when nothing goes wrong any more.
import { unavailability } from "#domain/machine/placement.ts";
import { Broken } from "./server.ts";
import { canonical, copied, nameOf, newStanding, type Standing } from "./standing.ts";
import { look, report, type Step, serves, streamEnds, tell, timePasses } from "./steps.ts";

export interface Found {
  readonly standing: Standing;
  /** The step by which it was come to first. */
  readonly by: string;
  readonly from: Found | undefined;
}

export interface Graph {
  readonly all: ReadonlyMap<string, Found>;
  /** Steps that lead from one standing to another. */
  readonly edges: number;
}

/**
 * @param stepsFrom what can happen
 * @param standingsMax only those are gone through that are the nearest to a new machine
 * @throws Broken when a disk is used as it must not be, or a machine could be had that is not clean
 */
export async function explore(stepsFrom: (s: Standing) => readonly Step[], standingsMax: number): Promise<Graph> {
  const first: Found = { standing: newStanding(), by: "it is plugged in", from: undefined };
  const all = new Map([[nameOf(first.standing), first]]);
  let edges = 0;
  for (const from of all.values()) {
    if (all.size >= standingsMax) break;
    for (const step of stepsFrom(from.standing)) {
      const found = { standing: await taken(from, step), by: step.name, from };
      if (found.standing === from.standing) continue;
      const name = nameOf(found.standing);
      edges++;
      if (all.has(name)) continue;
      checkClean(found);
      all.set(name, found);
    }
  }
  return { all, edges };
}

/** @returns the same one when the step changes nothing */
async function taken(from: Found, step: Step): Promise<Standing> {
  const s = copied(from.standing);
  try {
    await step.take(s);
    report(s);
  } catch (cause) {
    throw new Broken(`${(cause as Error).message}, by ${wayTo({ ...from, by: step.name, from })}`, { cause });
  }
  const { central, told, observed, server } = from.standing;
  const isOther = s.central !== central || s.told !== told || s.observed !== observed;
  if (!isOther && Object.entries(server).every(([field, value]) => s.server[field as keyof typeof server] === value))
    return from.standing;
  const next = canonical(s);
  return isAlike(next, from.standing) ? from.standing : next;
}

const isAlike = (one: Standing, other: Standing): boolean => nameOf(one) === nameOf(other);

/** Who could be given to somebody is empty, and out of every tenant's network. */
function checkClean(found: Found): void {
  const { central, observed, server } = found.standing;
  if (unavailability({ desired: central, observed }, "uuid") !== undefined) return;
  if (server.port !== 0n || server.data !== 0n)
    throw new Broken(`a machine could be had that is not clean, by ${wayTo(found)}`);
}

export function wayTo(found: Found): string {
  const names: string[] = [];
  for (let at: Found | undefined = found; at; at = at.from) names.unshift(at.by);
  return names.join(", ");
}

/** What happens again and again when nothing goes wrong any more. */
const round: readonly Step[] = [tell, look, serves, streamEnds];

/**
 * What comes of a machine when nobody wishes for anything more, and everything answers.
 * @param isThere whether it is where it shall come to
 * @param known names of those that come there, with how many steps it takes them; grows
 * @throws Broken when it comes to rest elsewhere, or is at the same point again
 */
export async function comesThere(
  start: Found,
  isThere: (s: Standing) => boolean,
  known: Map<string, number>,
): Promise<number> {
  const way: string[] = [];
  const passed = new Set<string>();
  let found = start;
  for (;;) {
    const name = nameOf(found.standing);
    if (passed.has(name)) throw new Broken(`it goes round without an end, by ${wayTo(found)}`);
    if (isThere(found.standing)) known.set(name, 0);
    const left = known.get(name);
    if (left !== undefined) {
      for (const [i, before] of way.reverse().entries()) known.set(before, left + i + 1);
      return left + way.length;
    }
    passed.add(name);
    way.push(name);
    const next = (await after(found, round)) ?? (await after(found, [timePasses]));
    if (!next) throw new Broken(`it stays there, by ${wayTo(found)}`);
    checkClean(next);
    found = next;
  }
}

/** @returns undefined when nothing changes */
export async function after(from: Found, steps: readonly Step[]): Promise<Found | undefined> {
  let found = from;
  for (const step of steps) {
    const standing = await taken(found, step);
    if (standing !== found.standing) found = { standing, by: step.name, from: found };
  }
  return isAlike(found.standing, from.standing) ? undefined : found;
}
