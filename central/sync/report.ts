// What agents report becomes central's observed state. One transaction a request; what was taken before is not taken again.
import { clone, create, fromBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { ReportCursorSchema } from "#gen/holdfast/state/v1/cursor_pb.ts";
import {
  type MachineDesired,
  MachineDesiredSchema,
  type MachineObserved,
  MachineObservedSchema,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  type RejectedEntry,
  RejectedEntrySchema,
  type ReportEntry,
  type ReportRequest,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import { MetaSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPSchema, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineConditionSchema, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

export interface Taken {
  readonly acknowledged: bigint;
  readonly rejected: RejectedEntry[];
}

/** @returns what is durable now, and what never will be */
export async function takeReport(state: State, clock: Clock, request: ReportRequest): Promise<Taken> {
  const { result } = await state.transact((tx) => takeEntries(tx, clock, request));
  return result;
}

function takeEntries(tx: Tx, clock: Clock, { partition, outbox, entries }: ReportRequest): Taken {
  const cursor = tx.get(kinds.reportCursor, partition);
  const taken = cursor?.outbox === outbox ? cursor.sequence : 0n;
  const fresh = entries.filter((entry) => entry.sequence > taken);
  const rejected = fresh.flatMap((entry) => {
    const reason = takeEntry(tx, clock, partition, entry);
    return reason === undefined ? [] : [create(RejectedEntrySchema, { sequence: entry.sequence, reason })];
  });
  const acknowledged = fresh.reduce((max, e) => (e.sequence > max ? e.sequence : max), taken);
  if (fresh.length > 0) {
    tx.put(kinds.reportCursor, partition, create(ReportCursorSchema, { outbox, sequence: acknowledged }));
  }
  return { acknowledged, rejected };
}

/** @returns why the entry was not taken, undefined when it was */
function takeEntry(tx: Tx, clock: Clock, partition: string, entry: ReportEntry): string | undefined {
  switch (entry.kind) {
    case "machine": {
      const observed = decoded(() => fromBinary(MachineObservedSchema, entry.value));
      if (!observed || observed.uuid !== entry.id) return `machine ${entry.id}: the report cannot be read`;
      return takeMachine(tx, clock, partition, observed);
    }
    case "switch": {
      const seen = decoded(() => fromBinary(SwitchSchema, entry.value));
      if (!seen || seen.id !== entry.id) return `switch ${entry.id}: the report cannot be read`;
      if (seen.partition !== partition) return `switch ${entry.id} is in partition ${seen.partition}, not ${partition}`;
      tx.put(kinds.switch, entry.id, seen);
      return undefined;
    }
    default:
      return `kind ${entry.kind} is unknown to this central`;
  }
}

function takeMachine(tx: Tx, clock: Clock, partition: string, observed: MachineObserved): string | undefined {
  const desired = tx.get(kinds.machineDesired, observed.uuid);
  if (desired && desired.partition !== partition) {
    return `machine ${observed.uuid} belongs to partition ${desired.partition}, not ${partition}`;
  }
  tx.put(kinds.machineObserved, observed.uuid, observed);
  const next = desired ? settle(tx, desired, observed) : firstDesired(clock, partition, observed.uuid);
  if (next) tx.put(kinds.machineDesired, observed.uuid, next);
  return undefined;
}

/** A machine that was seen for the first time belongs to nobody, and may be used. */
const firstDesired = (clock: Clock, partition: string, uuid: string): MachineDesired =>
  create(MachineDesiredSchema, {
    uuid,
    partition,
    epoch: 1n,
    condition: create(MachineConditionSchema, { state: MachineState.AVAILABLE }),
    meta: create(MetaSchema, {
      createdAt: timestampFromMs(clock.wallMs()),
      updatedAt: timestampFromMs(clock.wallMs()),
    }),
  });

/** Takes from the desired state what the report shows to be done. @returns undefined when nothing is */
function settle(tx: Tx, desired: MachineDesired, observed: MachineObserved): MachineDesired | undefined {
  const done = new Set(observed.outcomes.map((o) => o.id));
  const orders = desired.orders.filter((o) => !done.has(o.id));
  const isIsolated = desired.release !== undefined && observed.isolatedEpoch >= desired.release.epoch;
  if (orders.length === desired.orders.length && !isIsolated) return undefined;
  const next = clone(MachineDesiredSchema, desired);
  next.orders = orders;
  if (isIsolated && desired.release) {
    for (const key of desired.release.ips) giveBack(tx, key);
    delete next.release;
  }
  return next;
}

/** Ephemeral addresses end with the machine; others only lose their user. */
function giveBack(tx: Tx, key: string): void {
  const ip = tx.get(kinds.ip, key);
  if (!ip) return;
  if (ip.type === IPType.IP_TYPE_EPHEMERAL) {
    tx.delete(kinds.ip, key);
    return;
  }
  const next = clone(IPSchema, ip);
  delete next.meta?.labels?.labels[machineLabel];
  tx.put(kinds.ip, key, next);
}

function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
