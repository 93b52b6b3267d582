import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { bmcCommandName } from "#domain/machine/bmc-command.ts";
import {
  type BmcOrder,
  BmcOrderSchema,
  MachineDesiredSchema,
  type MachineObserved,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/** Orders that a machine may have open at once. */
const ordersMax = 8;
/** An order that the agent could not carry out by then is void: nobody expects a reset that they gave yesterday. */
const deadlineMs = 2 * 60_000;

const internal: readonly Command[] = [
  Command.MACHINE_BMC_COMMAND_UNSPECIFIED,
  Command.MACHINE_BMC_COMMAND_MACHINE_DELETED,
  Command.MACHINE_BMC_COMMAND_MACHINE_CREATED,
];

export interface Order {
  readonly uuid: string;
  readonly project: string | undefined;
  readonly command: Command;
  readonly user: string;
  readonly id: string;
  readonly nowMs: number;
}

/** Puts an order to a machine's BMC into its desired state. @throws Refusal */
export function giveOrder(tx: Tx, observed: MachineObserved | undefined, order: Order): void {
  const { uuid, project, command, user, id, nowMs } = order;
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!desired || (project !== undefined && desired.allocation?.project !== project)) {
    throw new Refusal(
      "not-found",
      `machine ${uuid} does not exist${project === undefined ? "" : ` in project ${project}`}`,
      { field: "uuid" },
    );
  }
  if (internal.includes(command)) {
    throw new Refusal("invalid", `command ${bmcCommandName(command)} is not for callers`, { field: "command" });
  }
  if (!observed?.bmc?.address) {
    throw new Refusal("precondition", `machine ${uuid} has no known BMC`, { reason: "NO_BMC" });
  }
  const open = desired.orders.filter((o) => !isVoid(o, nowMs));
  if (open.length >= ordersMax) {
    throw new Refusal("exhausted", `machine ${uuid} has ${ordersMax} open orders: wait until they are carried out`, {
      reason: "ORDERS_FULL",
    });
  }
  const next = clone(MachineDesiredSchema, desired);
  next.orders = next.orders.filter((o) => !isVoid(o, nowMs));
  next.orders.push(
    create(BmcOrderSchema, {
      id,
      command,
      epoch: desired.epoch,
      deadline: timestampFromMs(nowMs + deadlineMs),
      issuedBy: user,
    }),
  );
  tx.put(kinds.machineDesired, uuid, next);
}

/** Nobody carries it out any more, so that it need not wait for an agent that is away to say so. */
const isVoid = ({ deadline }: BmcOrder, nowMs: number): boolean =>
  deadline !== undefined && timestampMs(deadline) < nowMs;
