// One allocation is one commit: machine, addresses and ASN together, under the revisions that were read.
import { newAllocation } from "#domain/machine/allocation.ts";
import { withdrawStale } from "#domain/machine/bmc-order.ts";
import type { Resolved } from "#domain/machine/create.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { touched } from "#domain/meta.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import type { Spaces } from "../network/spaces.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { checkLinkUp } from "../sync/link-up.ts";
import { takeAsn } from "./asn.ts";
import { type Choice, chooseMachine } from "./choose-machine.ts";
import { joinNetwork } from "./join-network.ts";
import { checkTold } from "./told.ts";

export interface AllocationContext extends Choice {
  readonly user: string;
  readonly nowMs: number;
  /** Made anew for every attempt that the caller makes, not for every retry of the commit. */
  readonly allocation: string;
  readonly newUuid: () => string;
  readonly spaces: Spaces;
}

export function allocate(
  tx: Tx,
  request: MachineServiceCreateRequest,
  resolved: Resolved,
  context: AllocationContext,
): MachineDesired {
  const { nowMs, newUuid, allocation, peek, spaces, search } = context;
  const machine = chooseMachine(tx, request, context);
  const { desired, observed } = machine;
  checkTold(peek, desired.partition);
  checkLinkUp(peek, desired.partition);
  const asn = takeAsn(tx, spaces, allocation, context.seed);
  const { addresses } = spaces;
  const joining = { project: request.project, machine: desired.uuid, asn, nowMs, newUuid, addresses, search };
  const next = copyOf(desired);
  next.epoch = nextEpoch(desired, observed);
  withdrawStale(next, nowMs);
  next.meta = touched(desired.meta, nowMs);
  next.allocation = newAllocation(request, {
    ...resolved,
    ...{ uuid: allocation, asn, user: context.user, nowMs },
    networks: resolved.networks.map(({ network, ips }) => joinNetwork(tx, network, ips, joining)),
    observed,
  });
  tx.put(kinds.machineDesired, desired.uuid, next);
  return next;
}
