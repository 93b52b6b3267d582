// How many machines of which size a partition has, and what they are doing.
import { create } from "@bufbuild/protobuf";
import {
  type MachineSizeCapacity,
  MachineSizeCapacitySchema,
  type PartitionCapacity,
  PartitionCapacitySchema,
} from "#gen/metalstack/admin/v2/partition_pb.ts";
import {
  MachineProvisioningEventType as Event,
  type MachineIssue,
  MachineIssueSeverity,
  MachineState,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { SizeReservation } from "#gen/metalstack/api/v2/size_reservation_pb.ts";
import { stateOf } from "../machine/lifecycle.ts";
import { type MachineView, unavailability } from "../machine/placement.ts";
import { reservedIn } from "../size/reservation.ts";

/** For machines that match no size, or several. */
const unknownSize = "unknown";

export interface CapacityFacts {
  /** Of the partition. */
  readonly machines: readonly MachineView[];
  readonly reservations: readonly SizeReservation[];
  readonly issuesOf: (machine: MachineView) => readonly MachineIssue[];
  /** Only of this size. */
  readonly size?: string | undefined;
  /** Count only reservations of this project. */
  readonly project?: string | undefined;
}

/** One row for each size that machines of the partition have, by its name. */
export function partitionCapacity(partition: string, facts: CapacityFacts): PartitionCapacity {
  const { machines, size: wanted } = facts;
  const sizes = [...new Set(machines.map(sizeOf))].filter((size) => wanted === undefined || size === wanted).sort();
  return create(PartitionCapacitySchema, {
    partition,
    machineSizeCapacities: sizes.map((size) => {
      const ofSize = machines.filter((m) => sizeOf(m) === size);
      return sizeCapacity({ partition, size }, ofSize, facts);
    }),
  });
}

const sizeOf = ({ observed }: MachineView): string => observed?.size || unknownSize;

function sizeCapacity(
  pool: { readonly partition: string; readonly size: string },
  machines: readonly MachineView[],
  { reservations, issuesOf, project }: CapacityFacts,
): MachineSizeCapacity {
  const count = (is: (machine: MachineView) => boolean): bigint => BigInt(machines.filter(is).length);
  const those = (is: (machine: MachineView) => boolean): string[] => machines.filter(is).map((m) => m.desired.uuid);
  const phase = ({ observed }: MachineView): Event => (observed ? stateOf(observed.events) : Event.UNSPECIFIED);
  const isOther = (m: MachineView) => phase(m) !== Event.PHONED_HOME && phase(m) !== Event.WAITING;
  const isFaulty = (m: MachineView) => issuesOf(m).some(({ severity }) => severity !== MachineIssueSeverity.MINOR);
  const isCounted = (one: string) => project === undefined || one === project;
  const { amount, used, remaining } = reservedIn(reservations, pool, machines, isCounted);
  const allocatable = count((m) => unavailability(m, "choice") === undefined);
  const free = allocatable - BigInt(reservedIn(reservations, pool, machines).remaining);
  return create(MachineSizeCapacitySchema, {
    size: pool.size,
    total: BigInt(machines.length),
    phonedHome: count((m) => phase(m) === Event.PHONED_HOME),
    waiting: count((m) => phase(m) === Event.WAITING),
    other: count(isOther),
    otherMachines: those(isOther),
    allocated: count((m) => m.desired.allocation !== undefined),
    allocatable,
    free: free > 0n ? free : 0n,
    unavailable: count(
      ({ desired }) => (desired.condition?.state ?? MachineState.AVAILABLE) !== MachineState.AVAILABLE,
    ),
    faulty: count(isFaulty),
    faultyMachines: those(isFaulty),
    reservations: BigInt(amount),
    usedReservations: BigInt(used),
    remainingReservations: BigInt(remaining),
  });
}
