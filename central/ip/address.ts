import { ipId } from "#domain/ip/ip-id.ts";
import { addressBlock, freeAddress } from "#domain/network/free.ts";
import { type Space, take } from "#domain/network/ipam.ts";
import { isUsable, usableOf } from "#domain/network/pool.ts";
import { knownPrefixes } from "#domain/network/rules.ts";
import { IPAddressFamily, type IPServiceCreateRequest } from "#gen/metalstack/api/v2/ip_pb.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import {
  type Address,
  addressText,
  containsAddress,
  type Family,
  type Prefix,
  parseAddress,
  prefixText,
} from "#lib/net/prefix.ts";
import { Refusal } from "#lib/refusal.ts";
import { exists, unknown } from "../catalog/catalog.ts";
import { openPrefixes } from "../network/kept-prefixes.ts";
import type { Search } from "../network/search.ts";
import { type Spaces, spaceName } from "../network/spaces.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/** What addresses are searched in, and how. */
export interface Searched extends Pick<Spaces, "addresses"> {
  readonly search: Search;
}

/**
 * The address that a project gets in a network: the one asked for, or the lowest free one.
 * @returns canonical text
 */
export function addressFor(
  tx: Tx,
  network: Network,
  request: IPServiceCreateRequest,
  { addresses, search, isAdministrator = false }: Searched & { readonly isAdministrator?: boolean },
): string {
  checkNetwork(network, request, isAdministrator);
  if (request.ip !== undefined && request.addressFamily !== undefined) {
    throw new Refusal("invalid", "either an address or a family may be asked for, not both", { field: "ip" });
  }
  if (request.ip !== undefined) return thisAddress(tx, network, request.ip);
  const family = familyFor(network, request.addressFamily);
  return nextAddress(tx, network, { family, addresses, search });
}

function checkNetwork(
  { id, type, ...network }: Network,
  { project, machine }: IPServiceCreateRequest,
  isAdministrator: boolean,
): void {
  if (network.project !== undefined && network.project !== project && type !== NetworkType.CHILD_SHARED) {
    unknown("network", id);
  }
  if (type === NetworkType.UNDERLAY && !isAdministrator) {
    throw new Refusal("denied", `network ${id} is the fabric's own: only administrators take addresses of it`);
  }
  if (type === NetworkType.UNDERLAY && machine !== undefined) {
    const text = `network ${id} is the fabric's own: a machine gets its address there when it is created as a firewall`;
    throw new Refusal("invalid", text, { field: "machine" });
  }
  if (type === NetworkType.SUPER || type === NetworkType.SUPER_NAMESPACED) {
    const text = `network ${id} is a super network: addresses are taken from its children`;
    throw new Refusal("invalid", text, { field: "network" });
  }
}

function thisAddress(tx: Tx, network: Network, text: string): string {
  const address = parseAddress(text);
  if (!address.ok) throw new Refusal("invalid", address.error, { field: "ip" });
  const prefix = knownPrefixes(network.prefixes).find((p) => containsAddress(p, address.value));
  if (prefix === undefined) {
    throw new Refusal("invalid", `${text} is not in network ${network.id}`, { field: "ip" });
  }
  if (!isUsable(prefix, address.value)) {
    const why = "is the network's own: its first address, its gateway, or its broadcast address";
    throw new Refusal("invalid", `${text} ${why}`, { field: "ip" });
  }
  const canonical = addressText(address.value);
  if (!openPrefixes(tx, network).some((p) => isUsable(p, address.value))) {
    throw new Refusal("precondition", `${text} is in a prefix that network ${network.id} is about to lose`, {
      reason: "PREFIX_LEAVES",
      field: "ip",
    });
  }
  if (tx.get(kinds.ip, ipId(network.namespace, canonical)) !== undefined) throw exists("address", canonical);
  return canonical;
}

/**
 * The next free address of a network. Whoever puts something under it makes the commit fail when somebody else takes it meanwhile.
 * @returns canonical text
 * @throws Refusal "exhausted" with how many there are
 */
export function nextAddress(
  tx: Tx,
  network: Network,
  { family, addresses, search }: Searched & { readonly family: Family },
): string {
  const prefixes = openPrefixes(tx, network).filter((p) => p.family === family);
  const space = tx.folded(addresses, spaceName(network.namespace, family));
  const idOf = (address: Address) => ipId(network.namespace, addressText(address));
  const free = unpicked(space, prefixes, search, idOf) ?? freeAddress(space, prefixes, search.spread);
  if (free !== undefined) {
    search.pick(idOf(free));
    return addressText(free);
  }
  const usable = prefixes.reduce((sum, p) => sum + usableOf(p), 0n);
  const taken = `all ${usable} of ${prefixes.map(prefixText).join(", ")} are taken`;
  const why = prefixes.length === 0 ? "it is about to lose all that there are" : taken;
  throw new Refusal("exhausted", `network ${network.id} has no free IPv${family} address: ${why}`, {
    reason: "ADDRESSES_EXHAUSTED",
    field: "network",
  });
}

/** One that nobody else is about to take, as if what others are about to take were taken. */
function unpicked(
  space: Space,
  prefixes: readonly Prefix[],
  search: Search,
  idOf: (address: Address) => string,
): Address | undefined {
  for (let left = space; ; ) {
    const free = freeAddress(left, prefixes, search.spread);
    if (free === undefined || !search.isPicked(idOf(free))) return free;
    left = take(left, addressBlock(free));
  }
}

function familyFor(network: Network, wanted: IPAddressFamily | undefined): Family {
  const has = familiesOf(network);
  const family = wanted === IPAddressFamily.IP_ADDRESS_FAMILY_V4 ? 4 : wanted ? 6 : (has[0] ?? 4);
  if (has.includes(family)) return family;
  throw new Refusal("invalid", `network ${network.id} has no IPv${family} prefix`, { field: "address_family" });
}

/** Of a network's prefixes, IPv4 first. */
export const familiesOf = (network: Network): Family[] =>
  [...new Set(knownPrefixes(network.prefixes).map((p) => p.family))].sort();
