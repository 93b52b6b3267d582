import { type Address, addressText, containsAddress, type Prefix, parseAddress } from "#lib/net/prefix.ts";

/**
 * Where a call comes from. A proxy that is trusted is believed whom it names in X-Forwarded-For; that one as well, if it is such a
 * proxy, and so on. What others write into that header is nothing but their word.
 * @param peer address of the connection's other end
 * @param forwardedFor the header, whose last entry is the nearest proxy's; undefined without it
 * @returns the first address that is no trusted proxy's, in its one canonical text; the last proxy's, when it names nobody
 */
export function callerAddress(trusted: readonly Prefix[], peer: string, forwardedFor: string | undefined): string {
  const isTrusted = (address: Address) => trusted.some((prefix) => containsAddress(prefix, address));
  let believed = addressOf(peer);
  if (believed === undefined) return peer;
  const entries = forwardedFor === undefined || !isTrusted(believed) ? [] : forwardedFor.split(",");
  for (const entry of entries.reverse()) {
    const named = addressOf(entry);
    if (named === undefined || !isTrusted(believed)) break;
    believed = named;
  }
  return addressText(believed);
}

/** Some proxies write ports behind addresses, and IPv6 in brackets. IPv4 within IPv6 is IPv4. */
function addressOf(entry: string): Address | undefined {
  const text = entry.trim();
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d+)?$/.exec(text) ?? [];
  const parsed = parseAddress(bracketed ?? plain ?? text);
  if (!parsed.ok) return undefined;
  const { family, value } = parsed.value;
  return family === 6 && value >> 32n === 0xffffn ? { family: 4, value: value & 0xffff_ffffn } : parsed.value;
}
