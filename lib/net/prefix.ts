// Addresses and prefixes of both families as whole numbers, and their text.
import { fail, ok, type Result } from "../result.ts";

export type Family = 4 | 6;
export const families: readonly Family[] = [4, 6];

export interface Address {
  readonly family: Family;
  /** 32 or 128 bits, unsigned */
  readonly value: bigint;
}

/** No bit of `network` is set beyond `length`. */
export interface Prefix {
  readonly family: Family;
  readonly network: bigint;
  /** 0 to 32, or 0 to 128 */
  readonly length: number;
}

export const bitsOf = (family: Family): number => (family === 4 ? 32 : 128);

/** Number of addresses. */
export const sizeOf = (p: { readonly family: Family; readonly length: number }): bigint =>
  1n << BigInt(bitsOf(p.family) - p.length);

export const lastOf = (p: Prefix): bigint => p.network + sizeOf(p) - 1n;

export const containsAddress = (p: Prefix, a: Address): boolean =>
  p.family === a.family && a.value >= p.network && a.value <= lastOf(p);

export const containsPrefix = (outer: Prefix, inner: Prefix): boolean =>
  outer.family === inner.family && inner.length >= outer.length && containsAddress(outer, addressAt(inner, 0n));

/** Two prefixes overlap only when one contains the other. */
export const overlaps = (a: Prefix, b: Prefix): boolean => containsPrefix(a, b) || containsPrefix(b, a);

/** @param offset from the network address */
export const addressAt = (p: Prefix, offset: bigint): Address => ({ family: p.family, value: p.network + offset });

/** Of an address or prefix: only IPv6 has colons. */
export const textFamily = (text: string): Family => (text.includes(":") ? 6 : 4);

/** Either family; IPv6 also in its compressed forms and with an embedded IPv4 address, but without a zone. @source RFC 4291 §2.2 */
export function parseAddress(text: string): Result<Address> {
  const family = textFamily(text);
  const value = family === 6 ? parseV6(text) : parseV4(text);
  if (value === undefined) return fail(`IP address ${text.slice(0, 64)}: an IPv4 or IPv6 address is wanted`);
  return ok({ family, value });
}

/** `10.0.0.0/24` or `2001:db8::/32`; refused when bits beyond the length are set. */
export function parsePrefix(text: string): Result<Prefix> {
  const [addressPart = "", lengthPart = "", ...more] = text.split("/");
  const address = parseAddress(addressPart);
  const wanted = `prefix ${text.slice(0, 64)}: an address and a length are wanted, such as 10.0.0.0/24`;
  if (!address.ok || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(lengthPart)) return fail(wanted);
  const { family, value } = address.value;
  const length = Number(lengthPart);
  if (length > bitsOf(family)) return fail(`prefix ${text}: the length is at most ${bitsOf(family)}`);
  const network = value - (value % sizeOf({ family, length }));
  if (network === value) return ok({ family, network, length });
  return fail(
    `prefix ${text}: bits are set beyond /${length}; ${prefixText({ family, network, length })} may be meant`,
  );
}

export const prefixText = (p: Prefix): string => `${addressText(addressAt(p, 0n))}/${p.length}`;

/** The one canonical text of an address. @source RFC 5952 §4 */
export function addressText({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const zeros = longestZeros(groups);
  if (zeros.count < 2) return groups.join(":");
  return `${groups.slice(0, zeros.from).join(":")}::${groups.slice(zeros.from + zeros.count).join(":")}`;
}

function longestZeros(groups: readonly string[]): { readonly from: number; readonly count: number } {
  let best = { from: 0, count: 0 };
  let from = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === "0") continue;
    if (i - from > best.count) best = { from, count: i - from };
    from = i + 1;
  }
  return best;
}

function parseV4(text: string): bigint | undefined {
  const octets = text.split(".");
  if (octets.length !== 4 || !octets.every((o) => /^(0|[1-9]\d{0,2})$/.test(o) && Number(o) <= 255)) return undefined;
  return octets.reduce((sum, o) => sum * 256n + BigInt(o), 0n);
}

function parseV6(text: string): bigint | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [left, right] = halves.map(groupsOf);
  if (left === undefined || (halves.length === 2 && right === undefined)) return undefined;
  const count = left.length + (right?.length ?? 0);
  if (right === undefined ? count !== 8 : count > 7) return undefined;
  // An embedded IPv4 address stands at the very end only.
  if (halves.length === 2 && (halves[0] ?? "").includes(".")) return undefined;
  const groups = [...left, ...Array<bigint>(8 - count).fill(0n), ...(right ?? [])];
  return groups.reduce((sum, group) => (sum << 16n) | group, 0n);
}

function groupsOf(half: string): bigint[] | undefined {
  if (half === "") return [];
  const groups: bigint[] = [];
  const parts = half.split(":");
  for (const [i, part] of parts.entries()) {
    if (part.includes(".") && i === parts.length - 1) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      groups.push(v4 >> 16n, v4 & 0xffffn);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(BigInt(`0x${part}`));
    else return undefined;
  }
  return groups;
}
