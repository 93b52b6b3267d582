import { broadcastOf, containsIpv4, type Ipv4, type Ipv4Prefix, ipv4Text } from "#lib/net/ipv4.ts";

/** One subnet that is served, on the wire of the server or behind relays. */
export interface Subnet {
  readonly name: string;
  readonly prefix: Ipv4Prefix;
  /** Dynamic addresses, both ends included; absent where every host has a reservation. */
  readonly range: { readonly first: Ipv4; readonly last: Ipv4 } | undefined;
  readonly router: Ipv4 | undefined;
  readonly dnsServers: readonly Ipv4[];
  readonly ntpServers: readonly Ipv4[];
  readonly domainName: string | undefined;
  /** bytes; told to clients when given */
  readonly mtu: number | undefined;
  readonly leaseSeconds: number;
  /** This server alone decides over the subnet, so it may tell a client that its address is wrong (NAK). */
  readonly isAuthoritative: boolean;
}

const rangeAddressesMax = 2 ** 20;
const leaseSecondsMin = 120;
const leaseSecondsMax = 7 * 86_400;

/** All that is wrong with a set of subnets; empty when it can be served. */
export function subnetProblems(subnets: readonly Subnet[]): readonly string[] {
  return [
    ...subnets.flatMap(problemsOfOne),
    ...subnets.flatMap((a, i) =>
      subnets
        .slice(i + 1)
        .flatMap((b) => [
          ...(a.name === b.name ? [`subnet ${a.name}: the name is used twice`] : []),
          ...(overlap(a.prefix, b.prefix) ? [`subnets ${a.name} and ${b.name} overlap`] : []),
        ]),
    ),
  ];
}

function problemsOfOne(subnet: Subnet): readonly string[] {
  const problems: string[] = [];
  const no = (what: string) => problems.push(`subnet ${subnet.name}: ${what}`);
  const { prefix, range, leaseSeconds } = subnet;
  if (prefix.length < 8 || prefix.length > 30) no(`prefix length ${prefix.length} is not within 8 to 30`);
  if (range) {
    const size = range.last - range.first + 1;
    if (!isHostAddress(prefix, range.first) || !isHostAddress(prefix, range.last))
      no(`range ${ipv4Text(range.first)}-${ipv4Text(range.last)} leaves the subnet's host addresses`);
    if (size < 1) no(`range ends before it begins`);
    if (size > rangeAddressesMax) no(`range of ${size} addresses exceeds ${rangeAddressesMax}`);
  }
  if (subnet.router !== undefined && !isHostAddress(prefix, subnet.router))
    no(`router ${ipv4Text(subnet.router)} is not a host address of the subnet`);
  if (!(leaseSeconds >= leaseSecondsMin && leaseSeconds <= leaseSecondsMax))
    no(`lease of ${leaseSeconds} s is not within ${leaseSecondsMin} to ${leaseSecondsMax}`);
  if (subnet.mtu !== undefined && !(subnet.mtu >= 576 && subnet.mtu <= 65_535))
    no(`MTU ${subnet.mtu} is not within 576 to 65535`);
  if (subnet.dnsServers.length > 8) no(`${subnet.dnsServers.length} DNS servers exceed 8`);
  if (subnet.ntpServers.length > 8) no(`${subnet.ntpServers.length} NTP servers exceed 8`);
  if (subnet.domainName !== undefined && !/^[A-Za-z0-9.-]{1,200}$/.test(subnet.domainName))
    no(`domain name ${subnet.domainName}: 1 to 200 letters, digits, dots and hyphens are wanted`);
  return problems;
}

/** Neither the network's nor the broadcast address. */
export const isHostAddress = (prefix: Ipv4Prefix, ip: Ipv4): boolean =>
  containsIpv4(prefix, ip) && ip !== prefix.network && ip !== broadcastOf(prefix);

const overlap = (a: Ipv4Prefix, b: Ipv4Prefix): boolean => containsIpv4(a, b.network) || containsIpv4(b, a.network);

export const subnetAt = (subnets: readonly Subnet[], ip: Ipv4): Subnet | undefined =>
  subnets.find((subnet) => containsIpv4(subnet.prefix, ip));
