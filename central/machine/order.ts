import { newOrder, withdrawStale } from "#domain/machine/bmc-order.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

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
  const next = copyOf(desired);
  // Those that are void need not wait for an agent that is away to say so.
  withdrawStale(next, nowMs);
  const wish = { uuid, command, id, issuedBy: user, epoch: desired.epoch, nowMs };
  next.orders = [...next.orders, newOrder(wish, observed, next.orders)];
  tx.put(kinds.machineDesired, uuid, next);
}
