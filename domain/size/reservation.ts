// Machines that are kept free for projects: of a size, an amount in each of some partitions.
import type { SizeReservation, SizeReservationQuery } from "#gen/metalstack/api/v2/size_reservation_pb.ts";
import type { MachineView } from "../machine/placement.ts";
import { hasLabels } from "../meta.ts";

export interface Pool {
  readonly partition: string;
  readonly size: string;
}

/** What of a pool is reserved, and how much of that its projects have already. */
export interface Reserved {
  readonly amount: number;
  readonly used: number;
  /** Still to be kept free. */
  readonly remaining: number;
  /** By which it is to be kept free. */
  readonly by: readonly SizeReservation[];
}

const concerns = ({ size, partitions }: SizeReservation, pool: Pool): boolean =>
  size === pool.size && partitions.includes(pool.partition);

/**
 * Summed over the projects that `counts` takes. What a project has beyond what is reserved for it is nobody else's part of it. A machine
 * that is delegated to a partition for a project is one that the project has.
 * @param machines of the pool's partition, of any size
 */
export function reservedIn(
  reservations: readonly SizeReservation[],
  pool: Pool,
  machines: readonly MachineView[],
  counts: (project: string) => boolean = () => true,
): Reserved {
  const meant = reservations.filter((one) => concerns(one, pool) && counts(one.project));
  const amounts = new Map<string, number>();
  for (const { project, amount } of meant) amounts.set(project, (amounts.get(project) ?? 0) + amount);
  const ofPool = machines.filter(({ observed }) => observed?.size === pool.size);
  const usedBy = (project: string) =>
    ofPool.filter(({ desired: { allocation, delegated } }) => (allocation ?? delegated)?.project === project).length;
  let [amount, used] = [0, 0];
  const open = new Set<string>();
  for (const [project, wanted] of amounts) {
    const has = Math.min(wanted, usedBy(project));
    amount += wanted;
    used += has;
    if (has < wanted) open.add(project);
  }
  return { amount, used, remaining: amount - used, by: meant.filter(({ project }) => open.has(project)) };
}

export const reservationMatches = (one: SizeReservation, q: SizeReservationQuery | undefined): boolean =>
  q === undefined ||
  ((q.id === undefined || one.id === q.id) &&
    (q.name === undefined || one.name === q.name) &&
    (q.description === undefined || one.description === q.description) &&
    (q.size === undefined || one.size === q.size) &&
    (q.project === undefined || one.project === q.project) &&
    (q.partition === undefined || one.partitions.includes(q.partition)) &&
    hasLabels(one.meta, q.labels));
