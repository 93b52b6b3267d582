// Work on machines that goes on or has ended, in the terms of a task queue: their releases, and orders to their BMCs. Nothing is
// kept for it: a task is what the machine's two halves say at the moment.
import { create } from "@bufbuild/protobuf";
import type { BmcOrder, BmcOrderOutcome, Release } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type TaskInfo, TaskInfoSchema, TaskState } from "#gen/metalstack/admin/v2/task_pb.ts";
import { bmcCommandName } from "../machine/bmc-command.ts";
import type { MachineView } from "../machine/placement.ts";

export const releaseTaskId = (uuid: string, epoch: bigint): string => `machine:delete:${uuid}:${epoch}`;
export const orderTaskId = (uuid: string, order: string): string => `machine:bmc-command:${uuid}:${order}`;

/** The machine that a task is about; undefined for a task about something else. */
export const machineOfTask = (id: string): string | undefined =>
  /^machine:(?:delete|bmc-command):([0-9a-fA-F-]{36}):[\w.-]{1,64}$/.exec(id)?.[1];

/** All of one machine; its queue is its partition. */
export function machineTasks(view: MachineView): readonly TaskInfo[] {
  const { desired, observed } = view;
  const release = desired.release ? [releaseTask(view, desired.release)] : [];
  const open = desired.orders.map((order) => openTask(view, order));
  const told = (observed?.outcomes ?? []).filter(
    ({ id }) => !desired.forgotten.includes(id) && !desired.orders.some((o) => o.id === id),
  );
  const ended = [...desired.withdrawn, ...told].flatMap((o) => (o.order ? [endedTask(view, o, o.order)] : []));
  return [...release, ...open, ...ended];
}

/**
 * A release that is over leaves nothing behind but the machine's epoch, by which it is known for as long as there is the machine.
 * @param id of a task about this machine
 */
export function pastRelease({ desired }: MachineView, id: string): TaskInfo | undefined {
  const epoch = /^machine:delete:[^:]+:([1-9]\d{0,18})$/.exec(id)?.[1];
  if (epoch === undefined || BigInt(epoch) < 2n || BigInt(epoch) > desired.epoch) return undefined;
  return create(TaskInfoSchema, {
    id,
    queue: desired.partition,
    type: "machine:delete",
    payload: json({ machine: desired.uuid, epoch }),
    state: TaskState.COMPLETED,
  });
}

function releaseTask({ desired, observed }: MachineView, { epoch, project, ips }: Release): TaskInfo {
  const { uuid, partition } = desired;
  const isBegun = observed !== undefined && observed.epoch >= epoch;
  return create(TaskInfoSchema, {
    id: releaseTaskId(uuid, epoch),
    queue: partition,
    type: "machine:delete",
    payload: json({ machine: uuid, project, epoch: `${epoch}`, addresses: ips.length }),
    state: isBegun ? TaskState.ACTIVE : TaskState.PENDING,
    lastError: observed?.lastFailure ?? "",
  });
}

function openTask({ desired, observed }: MachineView, order: BmcOrder): TaskInfo {
  const isBegun = observed?.effects.some((e) => e.opId === order.id && !e.endedAt) ?? false;
  return create(TaskInfoSchema, {
    ...orderFacts(desired.uuid, desired.partition, order),
    state: isBegun ? TaskState.ACTIVE : TaskState.PENDING,
  });
}

function endedTask({ desired }: MachineView, { at, error }: BmcOrderOutcome, order: BmcOrder): TaskInfo {
  const facts = orderFacts(desired.uuid, desired.partition, order);
  if (error === "")
    return create(TaskInfoSchema, { ...facts, state: TaskState.COMPLETED, ...(at && { completedAt: at }) });
  return create(TaskInfoSchema, {
    ...facts,
    state: TaskState.ARCHIVED,
    lastError: error,
    ...(at && { lastFailedAt: at }),
  });
}

const orderFacts = (uuid: string, partition: string, order: BmcOrder) => ({
  id: orderTaskId(uuid, order.id),
  queue: partition,
  type: "machine:bmc-command",
  payload: json({ machine: uuid, command: bmcCommandName(order.command), issued_by: order.issuedBy }),
  ...(order.deadline && { deadline: order.deadline }),
});

const json = (value: Readonly<Record<string, string | number>>): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(value));
