// A child network is cut out of a super network.
import { carve } from "#domain/network/ipam.ts";
import { type Family, type Prefix, prefixText } from "#domain/network/prefix.ts";
import { childLengths, parsePrefixes } from "#domain/network/rules.ts";
import {
  type ChildPrefixLength,
  type Network,
  NetworkAddressFamily,
  NetworkType,
} from "#gen/metalstack/api/v2/network_pb.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { usable } from "../catalog/catalog.ts";
import { claimTurn } from "../catalog/claim.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { takeAnyVrf } from "./vrf.ts";

export interface ChildWanted {
  readonly length: ChildPrefixLength | undefined;
  readonly addressFamily: NetworkAddressFamily | undefined;
}

/** Fills in what a child has from its parent: prefixes, VRF, namespace, NAT, destinations. Edits `child`, which names its project. */
export function cutChild(tx: Tx, child: Network, wanted: ChildWanted, random: Random): void {
  const parent = parentOf(tx, child);
  child.parentNetwork = parent.id;
  if (parent.partition !== undefined) child.partition = parent.partition;
  if (parent.type === NetworkType.SUPER_NAMESPACED && child.project !== undefined) child.namespace = child.project;
  if (child.destinationPrefixes.length === 0) child.destinationPrefixes = parent.destinationPrefixes;
  if (child.natType === 0) child.natType = parent.natType;
  claimTurn(tx, `prefixes/${parent.id}`);
  child.prefixes = cut(tx, parent, child, wanted).map(prefixText);
  child.vrf = parent.vrf ?? takeAnyVrf(tx, child.id, random);
}

const isSuper = (n: Network): boolean => n.type === NetworkType.SUPER || n.type === NetworkType.SUPER_NAMESPACED;

function parentOf(tx: Tx, { parentNetwork, partition }: Network): Network {
  if (parentNetwork !== undefined) {
    const parent = usable(tx, kinds.network, parentNetwork, "network");
    if (!isSuper(parent)) {
      throw new Refusal("invalid", `network ${parent.id} is no super network`, { field: "parent_network" });
    }
    if (partition !== undefined && parent.partition !== partition) {
      throw new Refusal("invalid", `network ${parent.id} is not in partition ${partition}`, { field: "partition" });
    }
    return parent;
  }
  if (partition !== undefined) usable(tx, kinds.partition, partition, "partition");
  const candidates = tx.list(kinds.network).filter((n) => isSuper(n.value) && n.value.partition === partition);
  const [only] = candidates;
  if (candidates.length === 1 && only) return usable(tx, kinds.network, only.id, "network");
  const where = partition === undefined ? "without partition" : `in partition ${partition}`;
  const ids = candidates.map((n) => n.id).join(", ");
  throw candidates.length === 0
    ? new Refusal("not-found", `there is no super network ${where}`, { field: "partition" })
    : new Refusal("invalid", `there are several super networks ${where}: name one of ${ids}`, {
        field: "parent_network",
      });
}

function cut(tx: Tx, parent: Network, child: Network, wanted: ChildWanted): Prefix[] {
  const outer = known(parent.prefixes);
  const families = familiesOf(parent, outer, wanted.addressFamily);
  const lengths = childLengths(parent, families, wanted.length);
  if (!lengths.ok) throw new Refusal("invalid", lengths.error.why, { field: lengths.error.field });
  const taken = tx
    .list(kinds.network)
    .filter((n) => n.value.parentNetwork === parent.id && n.value.namespace === child.namespace)
    .flatMap((n) => known(n.value.prefixes));
  return [...lengths.value].map(([family, length]) => {
    for (const p of outer) {
      const carved = p.family === family ? carve(p, taken, length) : undefined;
      if (carved !== undefined) return carved;
    }
    throw new Refusal("exhausted", `network ${parent.id} has no room for another /${length}`, {
      reason: "PREFIXES_EXHAUSTED",
    });
  });
}

function familiesOf(parent: Network, outer: readonly Prefix[], wanted: NetworkAddressFamily | undefined): Family[] {
  const has = new Set(outer.map((p) => p.family));
  const asked: readonly Family[] =
    wanted === NetworkAddressFamily.V4
      ? [4]
      : wanted === NetworkAddressFamily.V6
        ? [6]
        : wanted === NetworkAddressFamily.DUAL_STACK
          ? [4, 6]
          : [...has];
  const missing = asked.find((family) => !has.has(family));
  if (missing === undefined) return [...asked];
  throw new Refusal("invalid", `network ${parent.id} has no IPv${missing} prefix`, { field: "address_family" });
}

/** Prefixes that are stored were checked when they came. */
function known(texts: readonly string[]): Prefix[] {
  const parsed = parsePrefixes(texts);
  return parsed.ok ? parsed.value : [];
}
