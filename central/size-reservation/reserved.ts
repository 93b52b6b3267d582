import type { MachineView } from "#domain/machine/placement.ts";
import { type Pool, type Reserved, reservedIn } from "#domain/size/reservation.ts";
import { claimTurn } from "../catalog/claim.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/**
 * What of a pool is still to be kept free for other projects, if anything. Where there is, the transaction takes its turn.
 * @param all machines of the partition; asked for only where something is reserved
 */
export function reservedForOthers(
  tx: Tx,
  pool: Pool,
  project: string,
  all: () => readonly MachineView[],
): Reserved | undefined {
  const reservations = tx.list(kinds.sizeReservation).map((row) => row.value);
  if (reservations.length === 0) return undefined;
  const reserved = reservedIn(reservations, pool, all(), (one) => one !== project);
  if (reserved.remaining === 0) return undefined;
  inTurn(tx, pool);
  return reserved;
}

/** All who give out machines of a pool in which some are reserved, or reserve some, see each other. */
export const inTurn = (tx: Tx, { partition, size }: Pool): void => claimTurn(tx, `reservations/${partition}/${size}`);
