import { type Ipv4, ipv4Text } from "#lib/net/ipv4.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { RelayOfClient } from "../catalog.ts";
import { type DhcpMessage, noAddress } from "./message.ts";
import { optionCode, relayCode } from "./option-codes.ts";
import { ipv4Option, subOptions } from "./options.ts";
import { type Subnet, subnetAt } from "./subnet.ts";

/** Where a request comes from. */
export interface Place {
  readonly subnet: Subnet;
  /** The address by which the client knows this server: option 54 of every reply. */
  readonly serverId: Ipv4;
  readonly relay: RelayOfClient | undefined;
}

/**
 * Which subnet a request belongs to: the relay's link selection, else the relay's address; without a relay the address that
 * the client already uses (a renewal goes round the relay), else the server's own subnet.
 * @source RFC 2131 §4.3.1, RFC 3527, RFC 5107
 */
export function placeOf(request: DhcpMessage, subnets: readonly Subnet[], server: Ipv4): Result<Place> {
  if (request.giaddr === noAddress) {
    const subnet =
      (request.ciaddr !== noAddress ? subnetAt(subnets, request.ciaddr) : undefined) ?? subnetAt(subnets, server);
    return subnet
      ? ok({ subnet, serverId: server, relay: undefined })
      : fail(`no relay, and the server's address ${ipv4Text(server)} is in none of its subnets`);
  }
  const agent = subOptions(request.options, optionCode.relayAgent);
  const link = ipv4Option(agent, relayCode.linkSelection) ?? request.giaddr;
  const subnet = subnetAt(subnets, link);
  if (!subnet) return fail(`relay ${ipv4Text(request.giaddr)}: no subnet contains ${ipv4Text(link)}`);
  return ok({
    subnet,
    serverId: ipv4Option(agent, relayCode.serverIdOverride) ?? server,
    relay: {
      address: request.giaddr,
      circuitId: agent.get(relayCode.circuitId),
      remoteId: agent.get(relayCode.remoteId),
    },
  });
}
