import { type Ipv4, ipv4Text } from "#lib/net/ipv4.ts";
import type { Case } from "./answer.ts";
import { describeLease, isInRange, isLive } from "./leases.ts";
import { isHostAddress } from "./subnet.ts";

/**
 * The address to offer: the reservation, else what the client had, else what it asks for, else a free one.
 * @returns undefined when the subnet has none left
 */
export function addressFor(c: Case, reserved: Ipv4 | undefined, wanted: Ipv4 | undefined): Ipv4 | undefined {
  const { leases, catalog, settings } = c.facts;
  const { subnet } = c.place;
  const held = leases.of(c.client.holder, subnet)?.address;
  const isGood = (ip: Ipv4 | undefined) => ip !== undefined && addressProblem(c, ip, reserved) === undefined;
  const isTaken = (ip: Ipv4) => ip === settings.address || catalog.isReserved(ip);
  return [reserved, held, wanted].find(isGood) ?? leases.free(subnet, isTaken, c.nowMs);
}

/** Why the client cannot have the address in its subnet; undefined when it can. */
export function addressProblem(c: Case, ip: Ipv4, reserved: Ipv4 | undefined): string | undefined {
  const { leases, catalog, settings } = c.facts;
  const { subnet } = c.place;
  const name = ipv4Text(ip);
  if (!isHostAddress(subnet.prefix, ip)) return `${name} is no host address of subnet ${subnet.name}`;
  if (ip === settings.address || ip === subnet.router) return `${name} belongs to the network itself`;
  const held = leases.at(ip);
  if (held && isLive(held, c.nowMs) && (held.holder !== c.client.holder || held.state === "declined"))
    return describeLease(held);
  if (ip === reserved) return undefined;
  if (!isInRange(subnet, ip)) return `${name} is outside of the range of subnet ${subnet.name}`;
  return catalog.isReserved(ip) ? `${name} is reserved for another host` : undefined;
}
