import { type Address, addressAt, bitsOf, type Prefix } from "#lib/net/prefix.ts";

/** The address that the network itself has on the hosts' side: the first host address. A single address has none. */
export function gatewayOf(p: Prefix): Address | undefined {
  const hostBits = bitsOf(p.family) - p.length;
  if (hostBits === 0) return undefined;
  // In a prefix of two addresses both are hosts. @source RFC 3021, RFC 6164
  return addressAt(p, hostBits === 1 ? 0n : 1n);
}
