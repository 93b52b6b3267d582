// Orders and effects on a machine, for people.
import type { BmcOrder, BmcOrderOutcome, EffectRecord } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineBMCCommandSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { agoText } from "../view/time.ts";

/** Such as "reset by alice (its id, epoch 3) was carried out"; what is not known is left out. */
export const outcomeText = ({ id, order, error, at }: BmcOrderOutcome, nowMs: number): string =>
  `${order ? orderText(order) : id} was ${error === "" ? "carried out" : `not carried out: ${error}`}${agoText(at, nowMs)}`;

export function effectText({ opId, effect, epoch, why, order, ...seen }: EffectRecord, nowMs: number): string {
  const what = order ? orderText(order) : `${effect} (${opId}, epoch ${epoch})`;
  if (!seen.endedAt)
    return `${what} was begun${agoText(seen.begunAt, nowMs)}, and how it ended is not known yet: ${why}`;
  return `${what} ${seen.error === "" ? `is done: ${why}` : `is not known to be done: ${seen.error}`}${agoText(seen.endedAt, nowMs)}`;
}

const orderText = ({ id, command, issuedBy, epoch }: BmcOrder): string =>
  `${enumText(MachineBMCCommandSchema, command)}${issuedBy === "" ? "" : ` by ${issuedBy}`} (${id}, epoch ${epoch})`;
