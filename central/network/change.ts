// Creating, changing and deleting networks, for users and administrators alike.
import { budgetOf } from "#domain/budget/items.ts";
import { isUsable } from "#domain/network/pool.ts";
import {
  badChild,
  badNetwork,
  canonize,
  isChild,
  knownPrefixes,
  type Problem,
  uncovered,
} from "#domain/network/rules.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { overlaps, parseAddress, prefixText } from "#lib/net/prefix.ts";
import { Refusal } from "#lib/refusal.ts";
import { budgetHolders } from "../budget/delegated.ts";
import { usable } from "../catalog/catalog.ts";
import { claimTurn } from "../catalog/claim.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { type ChildWanted, type Cutting, cutChild } from "./child.ts";
import { checkKept, isNarrowed } from "./kept-prefixes.ts";
import { takeVrf } from "./vrf.ts";

/** Completes a network that is about to be stored. Edits it. @throws Refusal with the field that is wrong */
export function settle(tx: Tx, network: Network, wanted: ChildWanted, cutting: Cutting): void {
  checkShape(network);
  canonize(network);
  if (network.project !== undefined) usable(tx, kinds.project, network.project, "project");
  if (isChild(network)) {
    checkShared(tx, network);
    cutChild(tx, network, wanted, cutting);
    return;
  }
  if (network.partition !== undefined) usable(tx, kinds.partition, network.partition, "partition");
  if (network.vrf !== undefined) takeVrf(tx, network.vrf, network.id);
  checkSpace(tx, network);
}

/** A child's id is drawn before its shape is checked: it may not bring one. */
export function checkAsked(network: Network): void {
  refuseBad(badNetwork(network));
}

function refuseBad(bad: Problem | undefined): void {
  if (bad !== undefined) throw new Refusal("invalid", bad.why, { field: bad.field });
}

function checkShape(network: Network): void {
  if (!isChild(network)) checkAsked(network);
}

/** A project has one network that others may join, so that it is clear which. */
function checkShared(tx: Tx, { id, type, project = "" }: Network): void {
  if (type !== NetworkType.CHILD_SHARED) return;
  claimTurn(tx, `shared-network/${project}`);
  const other = tx.list(kinds.network).find((n) => n.value.type === type && n.value.project === project && n.id !== id);
  if (other === undefined) return;
  const text = `project ${project} has a shared network already: ${other.id}`;
  throw new Refusal("exists", text, { reason: "SHARED_NETWORK_EXISTS", field: "project" });
}

/**
 * No address may be in two networks; only namespaces are apart. Two namespaced super networks are not: a project can have children of
 * both, in its one namespace.
 */
function checkSpace(tx: Tx, network: Network): void {
  const isNamespaced = network.type === NetworkType.SUPER_NAMESPACED;
  claimTurn(tx, "networks");
  const ours = knownPrefixes(network.prefixes);
  for (const { value: other } of tx.list(kinds.network)) {
    if (other.id === network.id || other.namespace !== undefined || other.parentNetwork === network.id) continue;
    if ((other.type === NetworkType.SUPER_NAMESPACED) !== isNamespaced) continue;
    if (network.type === NetworkType.SUPER && other.type === NetworkType.SUPER) {
      if (network.partition !== undefined && other.partition === network.partition) {
        const text = `partition ${network.partition} has a super network already: ${other.id}`;
        throw new Refusal("exists", text, { reason: "SUPER_EXISTS", field: "partition" });
      }
    }
    for (const theirs of knownPrefixes(other.prefixes)) {
      const clash = ours.find((p) => overlaps(p, theirs));
      if (clash === undefined) continue;
      const text = `${prefixText(clash)} overlaps ${prefixText(theirs)} of network ${other.id}`;
      throw new Refusal("exists", text, { reason: "PREFIX_OVERLAP", field: "prefixes" });
    }
  }
}

/** After an administrator's change: the shape still holds, and nothing that is in use lost its prefix. */
export function recheck(tx: Tx, before: Network, after: Network, isForced: boolean): void {
  if (isChild(after)) {
    refuseBad(badChild(after));
    canonize(after);
    if (before.prefixes.join() === after.prefixes.join()) return;
    throw new Refusal("invalid", "a child's prefixes cannot be changed", { field: "prefixes" });
  }
  checkAsked(after);
  canonize(after);
  checkSpace(tx, after);
  const lost = uncovered(before.additionalAnnouncableCidrs, after.additionalAnnouncableCidrs).map(prefixText);
  if (lost.length > 0 && !isForced) {
    throw new Refusal("precondition", `${lost.join(", ")} would no longer be announcable: force it if that is meant`, {
      reason: "NEEDS_FORCE",
      field: "additional_announcable_cidrs",
    });
  }
  if (!isNarrowed(before.prefixes, after.prefixes)) return;
  checkKept(tx, after);
  claimTurn(tx, `prefixes/${after.id}`);
  const stranded = strandedBy(tx, after);
  if (stranded === undefined) return;
  throw new Refusal("precondition", `${stranded} is in use and would be in no prefix of network ${after.id}`, {
    reason: "IN_USE",
    field: "prefixes",
  });
}

/** What the network's prefixes have no place for any more: of a child's prefix all of it, of an address one that is not its own. */
function strandedBy(tx: Tx, network: Network): string | undefined {
  const kept = knownPrefixes(network.prefixes);
  for (const { value } of tx.list(kinds.network)) {
    const lost = value.parentNetwork === network.id ? uncovered(value.prefixes, network.prefixes)[0] : undefined;
    if (lost !== undefined) return `prefix ${prefixText(lost)} of network ${value.id}`;
  }
  for (const { value } of tx.list(kinds.ip)) {
    const address = value.network === network.id ? parseAddress(value.ip) : undefined;
    if (address?.ok && !kept.some((p) => isUsable(p, address.value))) return `address ${value.ip}`;
  }
  return undefined;
}

/** Who still needs a network. */
export const holdersOf = (tx: Tx, { id }: Network): string[] => [
  ...tx
    .list(kinds.network)
    .filter((n) => n.value.parentNetwork === id)
    .map((n) => `network ${n.id}`),
  ...tx
    .list(kinds.ip)
    .filter((ip) => ip.value.network === id)
    .map(({ value }) => {
      const budget = budgetOf(value);
      return `address ${value.ip}${budget === undefined ? "" : `, which budget ${budget} delegates`}`;
    }),
  ...tx
    .list(kinds.machineDesired)
    .filter((m) => m.value.allocation?.networks.some((n) => n.network === id))
    .map((m) => `machine ${m.id}`),
  ...budgetHolders(tx, (b) => b.network === id || b.parentNetwork === id),
];
