import { machineLabel } from "#domain/ip/machine-label.ts";
import { reinstallProgress } from "#domain/machine/reinstall.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { copyOf } from "#lib/message.ts";
import type { Cause } from "../history/cause.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { giveBackAsn } from "../machine/asn.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

/** Addresses of one machine that one transaction gives back; a commit has room for 127 writes and their record. */
export const ipsAtOnce = 64;

export type IpsByMachine = ReturnType<typeof ipIndexes>["byMachine"];

/** Takes from the desired state what the report shows to be done. @returns undefined when nothing is */
export function settle(
  tx: Tx,
  byMachine: IpsByMachine,
  desired: MachineDesired,
  observed: MachineObserved,
): MachineDesired | undefined {
  const done = new Set(observed.outcomes.map((o) => o.id));
  const orders = desired.orders.filter((o) => !done.has(o.id));
  const { release } = desired;
  const isIsolated = release !== undefined && observed.isolatedEpoch >= release.epoch;
  const isLate = isAbortTooLate(desired, observed);
  if (orders.length === desired.orders.length && !isIsolated && !isLate) return undefined;
  const next = copyOf(desired);
  next.orders = orders;
  if (isLate) resume(next);
  if (isIsolated) giveBackHeld(tx, byMachine, next);
  return next;
}

/** Gives back what a release holds, or as much of it as one transaction may. @param draft changed in place */
export function giveBackHeld(tx: Tx, byMachine: IpsByMachine, draft: MachineDesired): void {
  const { release, uuid } = draft;
  if (!release) return;
  for (const asn of release.asns) giveBackAsn(tx, asn, release.allocation);
  release.asns = [];
  // Whoever tied an address to it at the same time as it was released is not in the release, and was before it: no more can come.
  const ips = [...new Set([...release.ips, ...tx.by(byMachine, uuid).map(({ id }) => id)])];
  for (const id of ips.slice(0, ipsAtOnce)) giveBack(tx, id, uuid);
  release.ips = ips.slice(ipsAtOnce);
  if (release.ips.length === 0) delete draft.release;
}

/** The old system was overwritten before the abort had come to the agent, which goes on with the reinstallation. */
const isAbortTooLate = (desired: MachineDesired, observed: MachineObserved): boolean =>
  desired.allocation !== undefined &&
  desired.reinstall?.aborted === true &&
  reinstallProgress(desired, observed).overwritten >= desired.reinstall.number;

function resume({ allocation, reinstall }: MachineDesired): void {
  if (!allocation || !reinstall) return;
  reinstall.aborted = false;
  if (reinstall.image) allocation.image = reinstall.image;
}

/** Gives back the rest of what a released machine held, in as many transactions as that takes. */
export async function settleMore(state: State, uuid: string, cause: Cause): Promise<void> {
  const { byMachine } = ipIndexes(state);
  for (let isDone = false; !isDone; ) {
    const { result } = await state.transact((tx) => {
      const desired = tx.get(kinds.machineDesired, uuid);
      const observed = tx.get(kinds.machineObserved, uuid);
      const next = desired && observed && settle(tx, byMachine, desired, observed);
      if (next) tx.put(kinds.machineDesired, uuid, next);
      return next?.release === undefined;
    }, cause);
    isDone = result;
  }
}

/** Ephemeral addresses end with the machine; others only lose their user. */
function giveBack(tx: Tx, id: string, machine: string): void {
  const ip = tx.get(kinds.ip, id);
  if (ip?.meta?.labels?.labels[machineLabel] !== machine) return;
  if (ip.type === IPType.IP_TYPE_EPHEMERAL) {
    tx.delete(kinds.ip, id);
    return;
  }
  const next = copyOf(ip);
  delete next.meta?.labels?.labels[machineLabel];
  tx.put(kinds.ip, id, next);
}
