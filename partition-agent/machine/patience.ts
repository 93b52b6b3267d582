// How long a machine that boots or runs the installer may say nothing.
import { stateOf } from "#domain/machine/lifecycle.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import { hourMs } from "#lib/durations.ts";

/** A machine that is being wiped, installed or started and says nothing for this long is reset. Longer than the slowest firmware's self-test. */
export const silentMs = 6 * 60_000;
/** A machine that was just switched must show up within this time before it is switched again; doubles up to the maximum. */
export const bootPatienceMs = 4 * 60_000;
const bootPatienceMaxMs = hourMs;
/**
 * A free machine that has waited, ready to be given away, and says nothing for this long is resurrected: somebody may be at it, and nobody
 * waits for it. The next try comes after twice as long, up to the maximum. @source metal-stack's MachineResurrectAfter
 */
export const resurrectAfterMs = hourMs;
export const resurrectAfterMaxMs = 4 * hourMs;

export interface Patience {
  /** Of silence, until it is reset. */
  readonly quietMs: number;
  /** Since it was switched, until it is switched again. */
  readonly againMs: number;
}

export function patienceWith(desired: MachineDesired | undefined, observed: MachineObserved): Patience {
  const { powerAttempts: attempts } = observed;
  if (isReady(desired, observed))
    return { quietMs: resurrectAfterMs, againMs: doubled(resurrectAfterMs, attempts, resurrectAfterMaxMs) };
  return { quietMs: silentMs, againMs: doubled(bootPatienceMs, attempts - 1, bootPatienceMaxMs) };
}

/** Whether it waits to be given away, or did so when it was heard last, and is being resurrected: nothing is owed to it. */
export const isReady = (desired: MachineDesired | undefined, observed: MachineObserved): boolean =>
  readyStates.includes(stateOf(observed.events)) &&
  observed.wipedEpoch !== 0n &&
  observed.workedEpoch === 0n &&
  !desired?.allocation;

const readyStates: readonly Event[] = [Event.WAITING, Event.MACHINE_RECLAIM];

const doubled = (firstMs: number, times: number, mostMs: number): number =>
  Math.min(mostMs, firstMs * 2 ** Math.min(Math.max(0, times), 4));
