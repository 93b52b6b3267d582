// What the agent does to a machine, written into what it observes of it: so it is durable, told to central, and given back by it.
// Invariants: an effect is on the disk before it is begun; its id is never that of another one; one without an end was begun in a
// former life of the agent, or its end could not be written: nobody knows whether it was done before somebody looks.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type EffectRecord, EffectRecordSchema, type MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Random } from "#lib/random.ts";
import type { MachineEffect } from "./plan.ts";

/** Kept of one machine. */
const effectsMax = 8;

/** An effect with its id, on its way to the disk. */
export const effectRecord = (effect: MachineEffect, why: string, random: Random): EffectRecord =>
  create(EffectRecordSchema, {
    effect: effect.kind,
    why,
    ...(effect.kind === "carry-out-order"
      ? { opId: effect.order.id, epoch: effect.order.epoch, order: effect.order }
      : { opId: random.uuid(), epoch: effect.epoch }),
  });

/** An order that failed and is tried again is the same effect. @throws when the id was another effect's */
export function beginEffect(m: MachineObserved, record: EffectRecord, nowMs: number): void {
  const former = m.effects.find(({ opId }) => opId === record.opId);
  if (former && !isSame(former, record))
    throw new Error(`effect ${record.effect} of machine ${m.uuid} has the id ${record.opId} of ${former.effect}`);
  const begun = { ...record, begunAt: timestampFromMs(nowMs) };
  m.effects = bounded([...m.effects.filter((e) => e !== former), begun]);
}

/** @param error empty when it was done; else why it was not, or why nobody knows */
export function endEffect(m: MachineObserved, { opId }: EffectRecord, error: string, nowMs: number): void {
  m.effects = m.effects.map((e) => (e.opId === opId ? { ...e, endedAt: timestampFromMs(nowMs), error } : e));
}

export const openEffects = ({ effects }: MachineObserved): readonly EffectRecord[] =>
  effects.filter(({ endedAt }) => endedAt === undefined);

const isSame = (a: EffectRecord, b: EffectRecord): boolean =>
  a.effect === b.effect && a.epoch === b.epoch && a.order?.command === b.order?.command;

/** What has ended gives way first. */
function bounded(effects: readonly EffectRecord[]): EffectRecord[] {
  let over = effects.length - effectsMax;
  return effects.filter((e) => e.endedAt === undefined || over-- <= 0).slice(-effectsMax);
}
