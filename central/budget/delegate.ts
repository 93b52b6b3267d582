// Fills a budget up. Everything that is delegated is taken by the keys by which anybody takes it, so nobody else has it.
import { create } from "@bufbuild/protobuf";
import { addressesIn, budgetLabel, isEmpty, networkAddress, noItems, withItems } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { ephemeralIp } from "#domain/machine/allocation.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { placeMachine, shuffled } from "#domain/machine/placement.ts";
import { newMeta } from "#domain/meta.ts";
import { type Budget, BudgetItemsSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { DelegationSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { LabelsSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import { MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkSchema, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { copyOf } from "#lib/message.ts";
import { type Family, textFamily } from "#lib/net/prefix.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { familiesOf, nextAddress } from "../ip/address.ts";
import { takeAsn } from "../machine/asn.ts";
import { type MachineIndexes, placeKey } from "../machine/indexes.ts";
import { isTold } from "../machine/told.ts";
import { viewOf, viewsOfPartition } from "../machine/views.ts";
import { cutChild } from "../network/child.ts";
import { alone } from "../network/search.ts";
import type { Spaces } from "../network/spaces.ts";
import type { KeepQuota, QuotaLeft } from "../quota/keep-quota.ts";
import { reservedForOthers } from "../size-reservation/reserved.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { budgetHolder } from "./delegated.ts";

/** Of each kind of thing, what one transaction delegates; a commit has room for 127 writes and their record. */
const atOnce = 16;
/** A network is three writes. */
const networksAtOnce = 4;
/** Epochs that an agent may use of one machine: it needs one to give it away, and one to take it back. */
const epochsDelegated = 16n;

export interface DelegatePorts {
  readonly state: State;
  readonly indexes: MachineIndexes;
  readonly spaces: Spaces;
  readonly random: Random;
  readonly seed: number;
  readonly nowMs: number;
  readonly keepQuota: KeepQuota;
  readonly quotaLeft: QuotaLeft;
}

/** As far as there is any, and as the project's quota allows: what is delegated counts as the project's. Edits the budget. */
export function delegateMore(tx: Tx, budget: Budget, ports: DelegatePorts): void {
  const { state } = ports;
  const { free = noItems() } = budget;
  const outbox = state.get(kinds.reportCursor, budget.partition)?.value.outbox ?? "";
  if (outbox === "" || !isTold(state, budget.partition)) return;
  budget.outbox = outbox;
  const networks = delegateNetworks(tx, budget, ports);
  const more = create(BudgetItemsSchema, {
    machines: delegateMachines(tx, budget, ports),
    addresses: delegateAddresses(tx, budget, budget.network, ports),
    asns: delegateAsns(tx, budget, ports),
    networks,
    networkAddresses: delegateNetworkAddresses(tx, budget, [...free.networks, ...networks], ports),
  });
  if (isEmpty(more)) return;
  ports.keepQuota(tx, budget.project);
  budget.free = withItems(free, more);
}

function delegateMachines(tx: Tx, budget: Budget, { state, indexes, seed, quotaLeft }: DelegatePorts): string[] {
  const { partition, project, size, outbox, free, machinesWanted } = budget;
  const missing = Math.min(machinesWanted - (free?.machines.length ?? 0), quotaLeft(tx, project, "machines"));
  if (missing <= 0) return [];
  const pool = { partition, size };
  const racks = [...state.groups(indexes.free, placeKey(pool)).values()];
  const there = racks.flatMap((machines) => [...machines.keys()].flatMap((id) => viewOf(state, id) ?? []));
  const wanted = { ...pool, project, role: MachineAllocationType.MACHINE, placementLabels: {} };
  const all = viewsOfPartition(state, partition);
  const placement = placeMachine(there, wanted, (uuid) => shuffled(uuid, seed), all);
  if (placement.kind === "none") return [];
  const room = placement.machines.length - (reservedForOthers(tx, pool, project, () => all)?.remaining ?? 0);
  return placement.machines.slice(0, Math.max(0, Math.min(missing, room, atOnce))).flatMap(({ desired: seen }) => {
    const desired = tx.get(kinds.machineDesired, seen.uuid);
    if (!desired || desired.allocation || desired.delegated || desired.release) return [];
    const next = copyOf(desired);
    const epochLast = nextEpoch(desired, state.get(kinds.machineObserved, seen.uuid)?.value) + epochsDelegated;
    next.delegated = create(DelegationSchema, { budget: budget.id, outbox, project, epochLast });
    tx.put(kinds.machineDesired, seen.uuid, next);
    return [seen.uuid];
  });
}

/** Each is cut as anybody's, and stored: it only has no name yet, and a label for as long as nobody has made it. */
function delegateNetworks(tx: Tx, budget: Budget, ports: DelegatePorts): string[] {
  const { id, project, parentNetwork, networksWanted, free } = budget;
  const left = ports.quotaLeft(tx, project, "networks");
  const missing = Math.min(networksAtOnce, networksWanted - (free?.networks.length ?? 0), left);
  return several(missing, () => {
    const { random, nowMs } = ports;
    const meta = newMeta(create(LabelsSchema, { labels: { [budgetLabel]: id } }), nowMs);
    const child = create(NetworkSchema, { id: random.uuid(), meta, project, parentNetwork, type: NetworkType.CHILD });
    cutChild(tx, child, { length: undefined, addressFamily: undefined }, ports);
    tx.put(kinds.network, child.id, child);
    return child.id;
  });
}

function delegateNetworkAddresses(tx: Tx, budget: Budget, networks: readonly string[], ports: DelegatePorts): string[] {
  const got: string[] = [];
  for (const id of networks) {
    const more = delegateAddresses(tx, budget, id, ports, 2 * atOnce - got.length);
    got.push(...more.map((ip) => networkAddress(id, ip)));
  }
  return got;
}

function delegateAddresses(
  tx: Tx,
  budget: Budget,
  networkId: string,
  ports: DelegatePorts,
  roomMax = 2 * atOnce,
): string[] {
  const network = networkId === "" ? undefined : tx.get(kinds.network, networkId);
  if (!network) return [];
  const listed = addressesIn(networkId, budget, budget.free ?? noItems());
  const families = familiesOf(network);
  return families.flatMap((family) => {
    const missing = Math.min(
      budget.addressesWanted - listed.filter(isOf(family)).length,
      ports.quotaLeft(tx, budget.project, "ips"),
    );
    return several(Math.min(missing, Math.floor(roomMax / families.length)), () => {
      const ip = nextAddress(tx, network, { family, addresses: ports.spaces.addresses, search: alone });
      putDelegated(tx, network, ip, budget, ports);
      return ip;
    });
  });
}

const isOf = (family: Family) => (ip: string) => textFamily(ip) === family;

function putDelegated(tx: Tx, network: Network, ip: string, budget: Budget, { random, nowMs }: DelegatePorts): void {
  const { id, project } = budget;
  const row = ephemeralIp(network, { uuid: random.uuid(), ip, project, labels: { [budgetLabel]: id }, nowMs });
  tx.put(kinds.ip, ipId(network.namespace, ip), row);
}

const delegateAsns = (tx: Tx, { id, free, machinesWanted }: Budget, { spaces, seed }: DelegatePorts): number[] =>
  several(Math.min(atOnce, machinesWanted - (free?.asns.length ?? 0)), () =>
    takeAsn(tx, spaces, budgetHolder(id), seed),
  );

/** As many as wanted, or as there are: what is used up comes back some day. */
function several<T>(wanted: number, take: () => T): T[] {
  const got: T[] = [];
  try {
    while (got.length < wanted) got.push(take());
  } catch (error) {
    if (!(error instanceof Refusal && error.code === "exhausted")) throw error;
  }
  return got;
}
