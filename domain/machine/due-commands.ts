// What the BMC of a machine has to be told, in partitions whose BMC daemon asks central: orders of people, and what follows from the
// machine's state. The latter have ids of their own that say what they are for, so that one that was carried out is known to be so.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type BmcOrderOutcome,
  BmcOrderOutcomeSchema,
  type MachineObserved,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { staleness } from "./bmc-order.ts";
import { isInstalled } from "./boot-target.ts";
import type { MachineView } from "./placement.ts";

export interface DueCommand {
  /** Unique among all that the machine was ever told. */
  readonly id: string;
  readonly command: Command;
}

/** How many ends of commands are kept of one machine. */
const outcomesMax = 16;

const created = (epoch: bigint): string => `machine-created.${epoch}`;
const deleted = (epoch: bigint): string => `machine-deleted.${epoch}`;

/** @param nowMs Unix time */
export function dueCommands({ desired, observed }: MachineView, nowMs: number): readonly DueCommand[] {
  if (!observed?.bmc?.address) return [];
  const { epoch, allocation, release } = desired;
  const due: DueCommand[] = [];
  // Explicitly released, and what runs there was made for an epoch that is over: it boots the installer, which wipes it.
  if (!allocation && release && observed.workedEpoch !== 0n && observed.workedEpoch < epoch)
    due.push({ id: deleted(epoch), command: Command.MACHINE_BMC_COMMAND_MACHINE_DELETED });
  if (isInstalled(desired, observed) && observed.diskBootEpoch !== epoch)
    due.push({ id: created(epoch), command: Command.MACHINE_BMC_COMMAND_MACHINE_CREATED });
  for (const order of desired.orders)
    if (staleness(order, epoch, nowMs) === undefined) due.push({ id: order.id, command: order.command });
  return due.filter(({ id }) => !observed.outcomes.some((o) => o.id === id && o.error === ""));
}

/**
 * Enters how a command ended.
 * @param m a draft, changed in place
 * @param error empty when it was carried out
 * @returns false when no such command was ever given
 */
export function noteOutcome(
  m: MachineObserved,
  { desired }: Pick<MachineView, "desired">,
  { id, error, nowMs }: { readonly id: string; readonly error: string; readonly nowMs: number },
): boolean {
  const order = desired.orders.find((o) => o.id === id);
  const before = m.outcomes.find((o) => o.id === id);
  // Told twice it ended once; only what central itself wants is tried again after a failure.
  if (before && (before.error === "" || before.order)) return true;
  if (!order && !before && !isOwn(id, desired.epoch)) return false;
  const outcome: BmcOrderOutcome = create(BmcOrderOutcomeSchema, {
    id,
    error,
    at: timestampFromMs(nowMs),
    epoch: desired.epoch,
    ...(order && { order }),
  });
  m.outcomes = [...m.outcomes.filter((o) => o.id !== id), outcome].slice(-outcomesMax);
  if (id === created(desired.epoch) && error === "") m.diskBootEpoch = desired.epoch;
  return true;
}

/** Of this epoch or of one before: the answer may come late. */
function isOwn(id: string, epoch: bigint): boolean {
  const parts = /^machine-(?:created|deleted)\.([1-9]\d{0,18})$/.exec(id);
  return parts !== null && BigInt(parts[1] ?? 0) <= epoch;
}
