import { isUsable, nextFree } from "#domain/network/ipam.ts";
import { addressText, containsAddress, type Family, parseAddress } from "#domain/network/prefix.ts";
import { parsePrefixes } from "#domain/network/rules.ts";
import { IPAddressFamily, type IPServiceCreateRequest } from "#gen/metalstack/api/v2/ip_pb.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { exists, unknown } from "../catalog/catalog.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { ipId } from "./ip-id.ts";

/**
 * The address that a project gets in a network: the one asked for, or the lowest free one.
 * @returns canonical text
 */
export function addressFor(tx: Tx, network: Network, request: IPServiceCreateRequest): string {
  checkNetwork(network, request.project);
  if (request.ip !== undefined && request.addressFamily !== undefined) {
    throw new Refusal("invalid", "either an address or a family may be asked for, not both", { field: "ip" });
  }
  return request.ip === undefined
    ? anyAddress(tx, network, request.addressFamily)
    : thisAddress(tx, network, request.ip);
}

function checkNetwork(network: Network, project: string): void {
  const { id, type } = network;
  if (network.project !== undefined && network.project !== project && type !== NetworkType.CHILD_SHARED) {
    unknown("network", id);
  }
  if (type === NetworkType.UNDERLAY) throw new Refusal("denied", `network ${id} is the fabric's own`);
  if (type === NetworkType.SUPER || type === NetworkType.SUPER_NAMESPACED) {
    const text = `network ${id} is a super network: addresses are taken from its children`;
    throw new Refusal("invalid", text, { field: "network" });
  }
}

function thisAddress(tx: Tx, network: Network, text: string): string {
  const address = parseAddress(text);
  if (!address.ok) throw new Refusal("invalid", address.error, { field: "ip" });
  const prefix = prefixesOf(network).find((p) => containsAddress(p, address.value));
  if (prefix === undefined) {
    throw new Refusal("invalid", `${text} is not in network ${network.id}`, { field: "ip" });
  }
  if (!isUsable(prefix, address.value)) {
    const why = "is the network's own: its first address, its gateway, or its broadcast address";
    throw new Refusal("invalid", `${text} ${why}`, { field: "ip" });
  }
  const canonical = addressText(address.value);
  if (tx.get(kinds.ip, ipId(network.namespace, canonical)) !== undefined) throw exists("address", canonical);
  return canonical;
}

function anyAddress(tx: Tx, network: Network, wanted: IPAddressFamily | undefined): string {
  const all = prefixesOf(network);
  const family = familyFor(
    wanted,
    all.some((p) => p.family === 4),
  );
  const prefixes = all.filter((p) => p.family === family);
  const taken = new Set<bigint>();
  for (const { value } of tx.list(kinds.ip)) {
    if ((value.namespace ?? "") !== (network.namespace ?? "")) continue;
    const address = parseAddress(value.ip);
    if (address.ok && address.value.family === family) taken.add(address.value.value);
  }
  const free = nextFree(prefixes, taken);
  if (free === undefined) {
    const why = prefixes.length === 0 ? `has no IPv${family} prefix` : `has no free IPv${family} address`;
    throw new Refusal(prefixes.length === 0 ? "invalid" : "exhausted", `network ${network.id} ${why}`, {
      reason: "ADDRESSES_EXHAUSTED",
    });
  }
  const text = addressText(free);
  // Read by id, so that the commit fails when somebody else takes it at the same time.
  if (tx.get(kinds.ip, ipId(network.namespace, text)) !== undefined) throw exists("address", text);
  return text;
}

function familyFor(wanted: IPAddressFamily | undefined, hasV4: boolean): Family {
  if (wanted === IPAddressFamily.IP_ADDRESS_FAMILY_V4) return 4;
  if (wanted === IPAddressFamily.IP_ADDRESS_FAMILY_V6) return 6;
  return hasV4 ? 4 : 6;
}

function prefixesOf(network: Network) {
  const parsed = parsePrefixes(network.prefixes);
  return parsed.ok ? parsed.value : [];
}
