import { type IP, IPAddressFamily, type IPQuery } from "#gen/metalstack/api/v2/ip_pb.ts";
import { addressText, containsAddress, parseAddress, parsePrefix, textFamily } from "#lib/net/prefix.ts";
import { hasLabels } from "../meta.ts";
import { machineOf } from "./machine-label.ts";

export function ipMatches(ip: IP, q: IPQuery | undefined): boolean {
  if (q === undefined) return true;
  return (
    (q.ip === undefined || ip.ip === canonicalIp(q.ip)) &&
    (q.network === undefined || ip.network === q.network) &&
    (q.project === undefined || ip.project === q.project) &&
    (q.name === undefined || ip.name === q.name) &&
    (q.uuid === undefined || ip.uuid === q.uuid) &&
    (q.machine === undefined || machineOf(ip) === q.machine) &&
    (q.parentPrefixCidr === undefined || isInside(ip.ip, q.parentPrefixCidr)) &&
    (q.type === undefined || ip.type === q.type) &&
    (q.addressFamily === undefined || ipFamily(ip) === q.addressFamily) &&
    (q.namespace === undefined || ip.namespace === q.namespace) &&
    hasLabels(ip.meta, q.labels)
  );
}

export const ipFamily = (ip: Pick<IP, "ip">): IPAddressFamily =>
  textFamily(ip.ip) === 6 ? IPAddressFamily.IP_ADDRESS_FAMILY_V6 : IPAddressFamily.IP_ADDRESS_FAMILY_V4;

/** The canonical text of an address; what is no address stays as it is. */
export function canonicalIp(text: string): string {
  const address = parseAddress(text);
  return address.ok ? addressText(address.value) : text;
}

function isInside(ip: string, cidr: string): boolean {
  const address = parseAddress(ip);
  const prefix = parsePrefix(cidr);
  return address.ok && prefix.ok && containsAddress(prefix.value, address.value);
}
