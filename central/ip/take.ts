import { create } from "@bufbuild/protobuf";
import { checkBudgetLabel } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { checkMachineLabel, machineLabel } from "#domain/ip/machine-label.ts";
import { newMeta } from "#domain/meta.ts";
import { LabelsSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import { type IP, IPSchema, type IPServiceCreateRequest, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { usableNetwork } from "../budget/delegated.ts";
import { unknown, usable } from "../catalog/catalog.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { addressFor, type Searched } from "./address.ts";

export interface Taking extends Searched {
  readonly uuid: string;
  readonly nowMs: number;
  /** Who asks: of the fabric's own networks nobody else takes any. */
  readonly isAdministrator?: boolean;
}

/**
 * Takes an address of a network for a project: the one that is asked for, or the next free one of a family.
 * @returns the address as it is put into the transaction
 * @throws Refusal "exists" when that one is taken, "exhausted" when none is free, "invalid" with the field, "not-found"
 */
export function takeAddress(tx: Tx, request: IPServiceCreateRequest, { uuid, nowMs, ...searched }: Taking): IP {
  const { project, machine } = request;
  usable(tx, kinds.project, project, "project");
  const network = usableNetwork(tx, request.network);
  checkBudgetLabel(request.labels);
  const ip = addressFor(tx, network, request, searched);
  const allocation = machine === undefined ? undefined : tx.get(kinds.machineDesired, machine)?.allocation;
  if (machine !== undefined && allocation?.project !== project) return unknown("machine", machine);
  const labels = { ...request.labels?.labels, ...(machine === undefined ? {} : { [machineLabel]: machine }) };
  if (machine === undefined) checkMachineLabel(request.labels);
  const stored = create(IPSchema, {
    uuid,
    ip,
    network: network.id,
    project,
    name: request.name ?? "",
    description: request.description ?? "",
    type: request.type || IPType.IP_TYPE_EPHEMERAL,
    meta: newMeta(create(LabelsSchema, { labels }), nowMs),
    ...(network.namespace === undefined ? {} : { namespace: network.namespace }),
  });
  tx.put(kinds.ip, ipId(network.namespace, ip), stored);
  return stored;
}
