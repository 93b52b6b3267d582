import { fail, ok, type Result } from "../result.ts";

/** An IPv4 address as an unsigned 32-bit number. */
export type Ipv4 = number & { readonly __brand: "Ipv4" };

/** An IPv4 prefix; `network` has no bit set beyond `length`. */
export interface Ipv4Prefix {
  readonly network: Ipv4;
  /** 0 to 32 */
  readonly length: number;
}

export function parseIpv4(text: string): Result<Ipv4> {
  const octets = text.split(".");
  if (octets.length !== 4 || !octets.every((o) => /^(0|[1-9]\d{0,2})$/.test(o) && Number(o) <= 255)) {
    return fail(`IPv4 address ${text}: four decimal octets of 0 to 255 are wanted`);
  }
  return ok((octets.reduce((sum, o) => sum * 256 + Number(o), 0) >>> 0) as Ipv4);
}

export const ipv4Text = (ip: Ipv4): string => [ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255].join(".");

/** @param length 0 to 32 */
export const netmask = (length: number): Ipv4 => (length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0) as Ipv4;

export const broadcastOf = (p: Ipv4Prefix): Ipv4 => ((p.network | ~netmask(p.length)) >>> 0) as Ipv4;

export const containsIpv4 = (p: Ipv4Prefix, ip: Ipv4): boolean => (ip & netmask(p.length)) >>> 0 === p.network;

/** `10.0.0.0/24`; refused when bits beyond the length are set. */
export function parseIpv4Prefix(text: string): Result<Ipv4Prefix> {
  const [address = "", lengthText = "", ...more] = text.split("/");
  const ip = parseIpv4(address);
  const length = Number(lengthText);
  if (!ip.ok || more.length > 0 || !/^\d{1,2}$/.test(lengthText) || length > 32) {
    return fail(`IPv4 prefix ${text}: an address and a length are wanted, such as 10.0.0.0/24`);
  }
  const network = ((ip.value & netmask(length)) >>> 0) as Ipv4;
  if (network !== ip.value)
    return fail(`IPv4 prefix ${text}: bits are set beyond /${length}; ${ipv4Text(network)}/${length} is meant`);
  return ok({ network, length });
}
