// What central enters of a machine by itself, in partitions whose machines speak to it directly.
import { create, equals } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { recordEvent } from "#domain/machine/lifecycle.ts";
import { type MachineDesired, type MachineObserved, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { copyOf } from "#lib/message.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { unknown } from "../catalog/catalog.ts";
import type { Cause } from "../history/cause.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { type IpsByMachine, settle, settleMore } from "../sync/settle.ts";

export interface BootPorts {
  readonly state: State;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface HeardOf {
  get(kind: typeof kinds.reportCursor, id: string): unknown;
}

export const hasAgent = (from: HeardOf, partition: string): boolean =>
  from.get(kinds.reportCursor, partition) !== undefined;

/**
 * What is seen has one writer. An agent that has ever reported is the one of its partition.
 * @throws Refusal "precondition" PARTITION_HAS_AGENT
 */
export function checkNoAgent(from: HeardOf, partition: string): void {
  if (!hasAgent(from, partition)) return;
  const text =
    `partition ${partition} has an agent, which alone writes what is seen there: send this call to the agent's ` +
    "address in the provisioning network";
  throw new Refusal("precondition", text, { reason: "PARTITION_HAS_AGENT" });
}

/**
 * Enters what a known machine did, and takes from what is wanted of it what that shows to be done.
 * @param work on a draft, which it changes in place; it may run more than once
 * @throws Refusal "not-found" for an unknown machine, "precondition" where an agent writes, and what `work` throws
 */
export async function observe<R>(
  { state }: Pick<BootPorts, "state">,
  uuid: string,
  cause: Cause,
  work: (machine: MachineObserved, desired: MachineDesired, tx: Tx) => R,
): Promise<R> {
  const { result } = await state.transact((tx) => {
    const desired = tx.get(kinds.machineDesired, uuid) ?? unknown("machine", uuid);
    checkNoAgent(tx, desired.partition);
    const machine = draftOf(tx, uuid, desired);
    const answer = work(machine, desired, tx);
    return { answer, isUnsettled: enter(tx, ipIndexes(state).byMachine, machine, desired) };
  }, cause);
  if (result.isUnsettled) await settleMore(state, uuid, cause);
  return result.answer;
}

/** What is known of the machine, to be changed and then entered. @param desired undefined for a new one */
export function draftOf(tx: Tx, uuid: string, desired: MachineDesired | undefined): MachineObserved {
  const stored = tx.get(kinds.machineObserved, uuid);
  const draft = stored ? copyOf(stored) : create(MachineObservedSchema, { uuid });
  if (desired) noteReclaim(draft, desired);
  return draft;
}

/** @returns whether its release has more addresses to give back than one transaction may */
export function enter(tx: Tx, byMachine: IpsByMachine, machine: MachineObserved, desired: MachineDesired): boolean {
  machine.partition = desired.partition;
  machine.epoch = desired.epoch;
  const stored = tx.get(kinds.machineObserved, machine.uuid);
  if (!stored || !equals(MachineObservedSchema, stored, machine)) tx.put(kinds.machineObserved, machine.uuid, machine);
  const next = settle(tx, byMachine, desired, machine);
  if (next) tx.put(kinds.machineDesired, machine.uuid, next);
  return next?.release !== undefined && next.release.epoch <= machine.isolatedEpoch;
}

/** A release is entered into the log with the first that is heard of the machine afterwards, with the time that it had. */
function noteReclaim(m: MachineObserved, desired: MachineDesired): void {
  const isPast = (epoch: bigint) => epoch !== 0n && epoch < desired.epoch;
  const isReleased = desired.allocation === undefined && (isPast(m.installedEpoch) || isPast(m.workedEpoch));
  if (!isReleased || m.reclaimedEpoch === desired.epoch) return;
  const atMs = desired.meta?.updatedAt ? timestampMs(desired.meta.updatedAt) : 0;
  m.events = recordEvent(m.events, Event.MACHINE_RECLAIM, "", atMs);
  m.reclaimedEpoch = desired.epoch;
}

/** All of the machine's former boot is over: streams of it that are still open count no more. @param boot a new id */
export function beginBoot(m: MachineObserved, boot: string): void {
  m.boot = boot;
  m.workedEpoch = 0n;
  m.wipedEpoch = 0n;
  m.waiting = false;
}
