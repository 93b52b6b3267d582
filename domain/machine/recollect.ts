import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { BmcOrderOutcome, EffectRecord, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { highestEpoch } from "./epoch.ts";

/**
 * What an agent knows of a machine after central has given back what it had been told of it: the later of the two. Both are its own
 * words, so the later one knew the earlier. A boot that began since then is later than anything that was told.
 * @param own what the agent remembers; undefined when it has forgotten the machine
 */
export function recollected(own: MachineObserved | undefined, told: MachineObserved): MachineObserved {
  const later = own === undefined || isLater(told, own) ? told : own;
  const next = copyOf(later);
  // Acts are no signs of life, and what is forgotten of one is done again: all that either knows counts.
  next.outcomes = outcomesOf(own?.outcomes ?? [], told.outcomes);
  next.effects = effectsOf(own?.effects ?? [], told.effects);
  // Streams are open with this life of the agent alone.
  next.waiting = own?.waiting ?? false;
  // What the later record has never seen the other one has not unseen.
  for (const field of ["hardware", "bmc", "port", "events", "heardAt", "bmcUpdatedAt"] as const)
    Object.assign(next, { [field]: next[field] ?? own?.[field] ?? told[field] });
  next.rack ||= own?.rack || told.rack;
  return next;
}

function outcomesOf(own: readonly BmcOrderOutcome[], told: readonly BmcOrderOutcome[]): BmcOrderOutcome[] {
  const known = new Set(own.map(({ id }) => id));
  const more = told.filter(({ id }) => !known.has(id));
  return [...own, ...more].sort((a, b) => atMs(a.at) - atMs(b.at));
}

/** One that has ended for either has ended. */
function effectsOf(own: readonly EffectRecord[], told: readonly EffectRecord[]): EffectRecord[] {
  const byId = new Map(own.map((effect) => [effect.opId, effect]));
  for (const effect of told) if (!byId.get(effect.opId)?.endedAt) byId.set(effect.opId, effect);
  return [...byId.values()].sort((a, b) => atMs(a.begunAt) - atMs(b.begunAt));
}

function isLater(a: MachineObserved, b: MachineObserved): boolean {
  if (a.boot !== b.boot) return a.boot > b.boot;
  const [epochA, epochB] = [highestEpoch(a), highestEpoch(b)];
  if (epochA !== epochB) return epochA > epochB;
  return heardMs(a) > heardMs(b);
}

const heardMs = ({ heardAt }: MachineObserved): number => atMs(heardAt);

const atMs = (at: Timestamp | undefined): number => (at ? timestampMs(at) : 0);
