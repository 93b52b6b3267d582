// What a machine gets in a network: addresses, given ones or free ones, and the way to the rest of the world.
import { create } from "@bufbuild/protobuf";
import { ipId } from "#domain/ip/ip-id.ts";
import { machineLabel, machineOf } from "#domain/ip/machine-label.ts";
import { canonicalIp } from "#domain/ip/query.ts";
import { ephemeralIp, machineNetwork } from "#domain/machine/allocation.ts";
import { newMeta } from "#domain/meta.ts";
import { LabelsSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import type { MachineNetwork } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { checkNotDelegated } from "../budget/delegated.ts";
import { familiesOf, nextAddress, type Searched } from "../ip/address.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

export interface Joining extends Searched {
  readonly project: string;
  readonly machine: string;
  readonly asn: number;
  readonly nowMs: number;
  readonly newUuid: () => string;
}

/** @param wanted addresses of the project; when empty, one free address of each address family is taken */
export function joinNetwork(tx: Tx, network: Network, wanted: readonly string[], joining: Joining): MachineNetwork {
  const ips =
    wanted.length > 0 ? wanted.map((ip) => takeGiven(tx, network, ip, joining)) : takeFree(tx, network, joining);
  return machineNetwork(network, ips, joining.asn);
}

function takeGiven(tx: Tx, network: Network, text: string, { project, machine }: Joining): string {
  const field = "networks.ips";
  const ip = canonicalIp(text);
  const id = ipId(network.namespace, ip);
  const owned = tx.get(kinds.ip, id);
  if (owned?.network !== network.id || owned.project !== project) {
    const why = `project ${project} has no address ${text} in network ${network.id}: create it first`;
    throw new Refusal("not-found", why, { field });
  }
  checkNotDelegated(owned, `address ${text}`, field);
  const user = machineOf(owned);
  if (user === machine) throw new Refusal("invalid", `address ${text} is named twice`, { field });
  if (user !== undefined) {
    throw new Refusal("precondition", `address ${text} is used by machine ${user}`, {
      field,
      reason: "ADDRESS_IN_USE",
    });
  }
  const next = copyOf(owned);
  const labels = { ...next.meta?.labels?.labels, [machineLabel]: machine };
  next.meta = { ...(next.meta ?? newMeta(undefined, 0)), labels: create(LabelsSchema, { labels }) };
  tx.put(kinds.ip, id, next);
  return ip;
}

const takeFree = (tx: Tx, network: Network, joining: Joining): string[] =>
  familiesOf(network).map((family) => {
    const { addresses, search } = joining;
    return putEphemeral(tx, network, nextAddress(tx, network, { family, addresses, search }), joining);
  });

function putEphemeral(tx: Tx, network: Network, ip: string, joining: Joining): string {
  const { project, machine, nowMs, newUuid } = joining;
  const row = ephemeralIp(network, { uuid: newUuid(), ip, project, labels: { [machineLabel]: machine }, nowMs });
  tx.put(kinds.ip, ipId(network.namespace, ip), row);
  return ip;
}
