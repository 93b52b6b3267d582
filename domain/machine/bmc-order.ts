import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type BmcOrder,
  BmcOrderOutcomeSchema,
  BmcOrderSchema,
  type MachineDesired,
  type MachineObserved,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { bmcCommandName } from "./bmc-command.ts";

/** Orders that a machine may have open at once. */
const ordersMax = 8;
/** An order that could not be carried out by then is void: nobody expects a reset that they gave yesterday. */
const orderLifeMs = 2 * 60_000;

/** Kept of one machine. */
const withdrawnMax = 16;

const internal: readonly Command[] = [
  Command.MACHINE_BMC_COMMAND_UNSPECIFIED,
  Command.MACHINE_BMC_COMMAND_MACHINE_DELETED,
  Command.MACHINE_BMC_COMMAND_MACHINE_CREATED,
];

export interface OrderWish {
  readonly uuid: string;
  readonly command: Command;
  readonly id: string;
  readonly issuedBy: string;
  /** Epoch that the machine is at: the order is void under another. */
  readonly epoch: bigint;
  /** Wall-clock milliseconds. */
  readonly nowMs: number;
}

/**
 * The order to a machine's BMC that somebody wishes for, whether at central or on site.
 * @param open the machine's orders that are neither carried out nor void
 * @throws Refusal
 */
export function newOrder(
  { uuid, command, id, issuedBy, epoch, nowMs }: OrderWish,
  observed: MachineObserved | undefined,
  open: readonly BmcOrder[],
): BmcOrder {
  if (internal.includes(command)) {
    throw new Refusal("invalid", `command ${bmcCommandName(command)} is not for callers`, { field: "command" });
  }
  if (!observed?.bmc?.address) {
    throw new Refusal("precondition", `machine ${uuid} has no known BMC`, { reason: "NO_BMC" });
  }
  if (open.length >= ordersMax) {
    throw new Refusal("exhausted", `machine ${uuid} has ${ordersMax} open orders: wait until they are carried out`, {
      reason: "ORDERS_FULL",
    });
  }
  return create(BmcOrderSchema, { id, command, epoch, issuedBy, deadline: timestampFromMs(nowMs + orderLifeMs) });
}

/**
 * Takes back those orders that must not be carried out any more.
 * @param desired a draft, its epoch already the one that counts
 */
export const withdrawStale = (desired: MachineDesired, nowMs: number): void =>
  withdraw(desired, (order) => staleness(order, desired.epoch, nowMs), nowMs);

/**
 * Takes orders back. How they ended stays to be read: their agent may never hear of them.
 * @param desired a draft
 * @param whyOf why the order is taken back; undefined: it stays
 */
export function withdraw(desired: MachineDesired, whyOf: (order: BmcOrder) => string | undefined, nowMs: number): void {
  const { epoch, orders } = desired;
  const ended = orders.flatMap((order) => {
    const why = whyOf(order);
    if (why === undefined) return [];
    const error = `taken back, with nothing told of it yet: ${why}`;
    return [create(BmcOrderOutcomeSchema, { id: order.id, order, epoch, at: timestampFromMs(nowMs), error })];
  });
  desired.orders = orders.filter(({ id }) => !ended.some((o) => o.id === id));
  desired.withdrawn = [...desired.withdrawn, ...ended].slice(-withdrawnMax);
}

/** Why an order must not be carried out: what it had, and what holds now. */
export function staleness(order: BmcOrder, epoch: bigint, nowMs: number): string | undefined {
  if (order.epoch !== epoch) return `it was given under epoch ${order.epoch}, the machine is at ${epoch}`;
  if (order.deadline && isVoidOrder(order, nowMs)) {
    const [deadline, now] = [timestampMs(order.deadline), nowMs].map((ms) => new Date(ms).toISOString());
    return `its deadline ${deadline} has passed, it was ${now}`;
  }
  return undefined;
}

/** Nobody carries it out any more. */
export const isVoidOrder = ({ deadline }: BmcOrder, nowMs: number): boolean =>
  deadline !== undefined && timestampMs(deadline) < nowMs;
