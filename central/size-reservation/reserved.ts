import type { MachineView } from "#domain/machine/placement.ts";
import { type Pool, reservedIn } from "#domain/size/reservation.ts";
import { claimTurn } from "../catalog/claim.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/**
 * How many machines of a pool are still to be kept free for other projects. Where there are some, the transaction takes its turn.
 * @param all machines of the partition; asked for only where something is reserved
 */
export function reservedForOthers(tx: Tx, pool: Pool, project: string, all: () => readonly MachineView[]): number {
  const reservations = tx.list(kinds.sizeReservation).map((row) => row.value);
  if (reservations.length === 0) return 0;
  const { remaining } = reservedIn(reservations, pool, all(), (one) => one !== project);
  if (remaining > 0) inTurn(tx, pool);
  return remaining;
}

/** All who give out machines of a pool in which some are reserved, or reserve some, see each other. */
export const inTurn = (tx: Tx, { partition, size }: Pool): void => claimTurn(tx, `reservations/${partition}/${size}`);
