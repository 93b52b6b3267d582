// Creating, changing and deleting networks, for users and administrators alike.
import {
  containsAddress,
  containsPrefix,
  overlaps,
  type Prefix,
  parseAddress,
  prefixText,
} from "#domain/network/prefix.ts";
import { badNetwork, parsePrefixes } from "#domain/network/rules.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { usable } from "../catalog/catalog.ts";
import { claimTurn } from "../catalog/claim.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { type ChildWanted, type Cutting, cutChild } from "./child.ts";
import { takeVrf } from "./vrf.ts";

export const isChild = (n: Pick<Network, "type">): boolean =>
  n.type === NetworkType.CHILD || n.type === NetworkType.CHILD_SHARED;

/** Completes a network that is about to be stored. Edits it. @throws Refusal with the field that is wrong */
export function settle(tx: Tx, network: Network, wanted: ChildWanted, cutting: Cutting): void {
  checkShape(network);
  if (network.project !== undefined) usable(tx, kinds.project, network.project, "project");
  if (isChild(network)) {
    cutChild(tx, network, wanted, cutting);
    return;
  }
  if (network.partition !== undefined) usable(tx, kinds.partition, network.partition, "partition");
  if (network.vrf !== undefined) takeVrf(tx, network.vrf, network.id);
  checkSpace(tx, network);
}

/** A child's id is drawn before its shape is checked: it may not bring one. */
export function checkAsked(network: Network): void {
  const bad = badNetwork(network);
  if (bad !== undefined) throw new Refusal("invalid", bad.why, { field: bad.field });
}

function checkShape(network: Network): void {
  if (!isChild(network)) checkAsked(network);
}

/** No address may be in two networks; only namespaces are apart. */
function checkSpace(tx: Tx, network: Network): void {
  if (network.type === NetworkType.SUPER_NAMESPACED) return;
  claimTurn(tx, "networks");
  const ours = prefixesOf(network);
  for (const { value: other } of tx.list(kinds.network)) {
    if (other.id === network.id || other.namespace !== undefined || other.parentNetwork === network.id) continue;
    if (other.type === NetworkType.SUPER_NAMESPACED) continue;
    if (network.type === NetworkType.SUPER && other.type === NetworkType.SUPER) {
      if (network.partition !== undefined && other.partition === network.partition) {
        const text = `partition ${network.partition} has a super network already: ${other.id}`;
        throw new Refusal("exists", text, { reason: "SUPER_EXISTS", field: "partition" });
      }
    }
    for (const theirs of prefixesOf(other)) {
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
    if (before.prefixes.join() === after.prefixes.join()) return;
    throw new Refusal("invalid", "a child's prefixes cannot be changed", { field: "prefixes" });
  }
  checkAsked(after);
  checkSpace(tx, after);
  const lost = before.additionalAnnouncableCidrs.filter((c) => !after.additionalAnnouncableCidrs.includes(c));
  if (lost.length > 0 && !isForced) {
    throw new Refusal("precondition", `${lost.join(", ")} would no longer be announcable: force it if that is meant`, {
      reason: "NEEDS_FORCE",
      field: "additional_announcable_cidrs",
    });
  }
  const kept = prefixesOf(after);
  const gone = prefixesOf(before).filter((p) => !kept.some((k) => containsPrefix(k, p)));
  if (gone.length === 0) return;
  claimTurn(tx, `prefixes/${after.id}`);
  for (const p of gone) {
    const holder = inside(tx, after, p);
    if (holder === undefined) continue;
    throw new Refusal("precondition", `prefix ${prefixText(p)} is in use by ${holder}`, { reason: "IN_USE" });
  }
}

function inside(tx: Tx, network: Network, p: Prefix): string | undefined {
  const child = tx
    .list(kinds.network)
    .find((n) => n.value.parentNetwork === network.id && prefixesOf(n.value).some((c) => overlaps(c, p)));
  if (child !== undefined) return `network ${child.id}`;
  const ip = tx.list(kinds.ip).find((row) => {
    const address = row.value.network === network.id ? parseAddress(row.value.ip) : undefined;
    return address?.ok === true && containsAddress(p, address.value);
  });
  return ip && `address ${ip.value.ip}`;
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
    .map((ip) => `address ${ip.value.ip}`),
  ...tx
    .list(kinds.machineDesired)
    .filter((m) => m.value.allocation?.networks.some((n) => n.network === id))
    .map((m) => `machine ${m.id}`),
];

function prefixesOf(network: Network): Prefix[] {
  const parsed = parsePrefixes(network.prefixes);
  return parsed.ok ? parsed.value : [];
}
