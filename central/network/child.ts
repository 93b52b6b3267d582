// A child network is cut out of a super network.
import { freePrefix } from "#domain/network/free.ts";
import { childLengths, isSuper, knownPrefixes } from "#domain/network/rules.ts";
import {
  type ChildPrefixLength,
  NATType,
  type Network,
  NetworkAddressFamily,
  NetworkType,
} from "#gen/metalstack/api/v2/network_pb.ts";
import { type Family, type Prefix, prefixText } from "#lib/net/prefix.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { usable } from "../catalog/catalog.ts";
import { claimTurn } from "../catalog/claim.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { type Spaces, spaceName } from "./spaces.ts";
import { takeAnyVrf } from "./vrf.ts";

/** What cutting a child asks of the world. */
export interface Cutting {
  readonly spaces: Spaces;
  readonly random: Random;
}

export interface ChildWanted {
  readonly length: ChildPrefixLength | undefined;
  readonly addressFamily: NetworkAddressFamily | undefined;
}

/** Fills in what a child has from its parent: prefixes, VRF, namespace, NAT, destinations. Edits `child`, which names its project. */
export function cutChild(tx: Tx, child: Network, wanted: ChildWanted, { spaces, random }: Cutting): void {
  const parent = parentOf(tx, child);
  child.parentNetwork = parent.id;
  if (parent.partition !== undefined) child.partition = parent.partition;
  if (parent.type === NetworkType.SUPER_NAMESPACED && child.project !== undefined) child.namespace = child.project;
  if (child.destinationPrefixes.length === 0) child.destinationPrefixes = parent.destinationPrefixes;
  if (child.natType === NATType.NAT_TYPE_UNSPECIFIED) child.natType = parent.natType;
  child.prefixes = cut(tx, spaces, { parent, child, wanted }).map(prefixText);
  claimTurn(tx, `prefixes/${parent.id}`);
  child.vrf = parent.vrf ?? takeAnyVrf(tx, spaces, child.id, random);
}

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

interface Cut {
  readonly parent: Network;
  readonly child: Network;
  readonly wanted: ChildWanted;
}

function cut(tx: Tx, { children }: Spaces, { parent, child, wanted }: Cut): Prefix[] {
  const outer = knownPrefixes(parent.prefixes);
  const families = familiesOf(parent, outer, wanted.addressFamily);
  const lengths = childLengths(parent, families, wanted.length);
  if (!lengths.ok) throw new Refusal("invalid", lengths.error.why, { field: lengths.error.field });
  return [...lengths.value].map(([family, length]) => {
    const ours = outer.filter((p) => p.family === family);
    const free = freePrefix(tx.folded(children, spaceName(child.namespace, family)), ours, length);
    return free ?? full(tx, { parent, child, wanted }, ours, length);
  });
}

function full(tx: Tx, { parent, child }: Cut, ours: readonly Prefix[], length: number): never {
  const isSibling = ({ parentNetwork, namespace }: Network) =>
    parentNetwork === parent.id && namespace === child.namespace;
  const children = tx.list(kinds.network).filter((n) => isSibling(n.value)).length;
  const text = `network ${parent.id} has no room for another /${length}: ${children} child networks share ${ours.map(prefixText).join(", ")}`;
  throw new Refusal("exhausted", text, { reason: "PREFIXES_EXHAUSTED" });
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
