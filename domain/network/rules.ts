// What each type of network must and must not have.
import { NATType, type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import {
  bitsOf,
  containsPrefix,
  type Family,
  overlaps,
  type Prefix,
  parsePrefix,
  prefixText,
} from "#lib/net/prefix.ts";
import { fail, ok, type Result } from "#lib/result.ts";

/** Prefixes of one network, of each kind. */
const prefixesMax = 64;

/** VXLAN network identifiers. @source RFC 7348 §5 */
export const vrfMax = 16_777_215;

/** Where VRFs are taken from for networks that ask for none in particular: 1 to this. */
export const vrfPool = 131_072;

/** A private network: machines live in exactly one. */
export const isChild = ({ type }: Pick<Network, "type">): boolean =>
  type === NetworkType.CHILD || type === NetworkType.CHILD_SHARED;

/** What private networks are cut out of. */
export const isSuper = ({ type }: Pick<Network, "type">): boolean =>
  type === NetworkType.SUPER || type === NetworkType.SUPER_NAMESPACED;

export interface Problem {
  readonly field: string;
  readonly why: string;
}

type Part =
  | "id"
  | "prefixes"
  | "partition"
  | "project"
  | "parentNetwork"
  | "vrf"
  | "natType"
  | "destinationPrefixes"
  | "defaultChildPrefixLength"
  | "minChildPrefixLength"
  | "additionalAnnouncableCidrs";

interface Shape {
  readonly must: readonly Part[];
  readonly mustNot: readonly Part[];
}

/** What says something about children. */
const ofParents: readonly Part[] = ["defaultChildPrefixLength", "minChildPrefixLength", "additionalAnnouncableCidrs"];

const shapes = new Map<NetworkType, Shape>([
  [NetworkType.EXTERNAL, { must: ["id", "prefixes", "vrf"], mustNot: ["parentNetwork", ...ofParents] }],
  [
    NetworkType.UNDERLAY,
    {
      must: ["id", "prefixes", "partition"],
      mustNot: ["project", "vrf", "natType", "destinationPrefixes", "parentNetwork", ...ofParents],
    },
  ],
  [NetworkType.SUPER, { must: ["id", "prefixes", "defaultChildPrefixLength"], mustNot: ["project", "parentNetwork"] }],
  [
    NetworkType.SUPER_NAMESPACED,
    // With a VRF of its own the same addresses of several projects would meet in it.
    {
      must: ["id", "prefixes", "defaultChildPrefixLength"],
      mustNot: ["project", "parentNetwork", "partition", "vrf"],
    },
  ],
  [NetworkType.CHILD, { must: ["project"], mustNot: ["id", "prefixes", "vrf", ...ofParents] }],
  [NetworkType.CHILD_SHARED, { must: ["project"], mustNot: ["id", "prefixes", "vrf", ...ofParents] }],
]);

const isSet = (value: unknown): boolean =>
  Array.isArray(value)
    ? value.length > 0
    : value !== undefined && value !== "" && value !== NATType.NAT_TYPE_UNSPECIFIED;

/** @param network as asked for; of a child the id and prefixes are still to come */
export function badNetwork(network: Network): Problem | undefined {
  const shape = shapes.get(network.type);
  if (shape === undefined) return { field: "type", why: "a type is wanted" };
  for (const part of shape.must) {
    if (!isSet(network[part])) return { field: fieldOf(part), why: `a network of this type wants ${fieldOf(part)}` };
  }
  for (const part of shape.mustNot) {
    if (isSet(network[part]) && !(part === "natType" && network.natType === NATType.NAT_TYPE_NONE)) {
      return { field: fieldOf(part), why: `a network of this type has no ${fieldOf(part)}` };
    }
  }
  if (network.vrf !== undefined && (network.vrf < 1 || network.vrf > vrfMax)) {
    return { field: "vrf", why: `VRF ${network.vrf} is not within 1 to ${vrfMax}` };
  }
  return badPrefixes(network) ?? badLengths(network);
}

/** @param network a child as it would be changed, which has its id and prefixes already */
export function badChild(network: Network): Problem | undefined {
  const part = ofParents.find((p) => isSet(network[p]));
  if (part !== undefined) return { field: fieldOf(part), why: `a network of this type has no ${fieldOf(part)}` };
  return badPrefixes(network);
}

const fieldOf = (part: string): string => part.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

function badPrefixes(network: Network): Problem | undefined {
  for (const part of ["prefixes", "destinationPrefixes", "additionalAnnouncableCidrs"] as const) {
    const field = fieldOf(part);
    const parsed = parsePrefixes(network[part]);
    if (!parsed.ok) return { field, why: parsed.error };
    if (part !== "prefixes") continue;
    for (const [i, p] of parsed.value.entries()) {
      const earlier = parsed.value.slice(0, i).find((other) => overlaps(other, p));
      if (earlier !== undefined) return { field, why: `${prefixText(p)} overlaps ${prefixText(earlier)}` };
      if (network.type === NetworkType.UNDERLAY && p.family === 6) return { field, why: "an underlay is IPv4 only" };
    }
  }
  return undefined;
}

function badLengths(network: Network): Problem | undefined {
  const parsed = parsePrefixes(network.prefixes);
  if (!parsed.ok) return undefined;
  for (const part of ["defaultChildPrefixLength", "minChildPrefixLength"] as const) {
    const lengths = network[part];
    if (lengths === undefined) continue;
    for (const family of [4, 6] as const) {
      const length = lengths[family === 4 ? "ipv4" : "ipv6"];
      if (length === undefined) continue;
      if (!parsed.value.some((p) => p.family === family)) {
        return { field: fieldOf(part), why: `a length for IPv${family} is given, and no IPv${family} prefix` };
      }
      const tooWide = parsed.value.find((p) => p.family === family && length < p.length);
      if (tooWide !== undefined) {
        return { field: fieldOf(part), why: `/${length} does not fit into ${prefixText(tooWide)}` };
      }
    }
  }
  const { defaultChildPrefixLength: usual, minChildPrefixLength: least } = network;
  const isBelow = (["ipv4", "ipv6"] as const).some((f) => (usual?.[f] ?? 128) < (least?.[f] ?? 0));
  if (isBelow) return { field: "default_child_prefix_length", why: "the default is shorter than the minimum" };
  const families: readonly Family[] = [...new Set(parsed.value.map((p) => p.family))];
  const missing = usual && families.find((f) => usual[f === 4 ? "ipv4" : "ipv6"] === undefined);
  if (missing === undefined) return undefined;
  return { field: "default_child_prefix_length", why: `a length for IPv${missing} is wanted` };
}

/** What of a list of prefixes is not covered by another list. Prefixes that cannot be read are none. */
export function uncovered(before: readonly string[], after: readonly string[]): Prefix[] {
  const are = knownPrefixes(after);
  return knownPrefixes(before).filter((p) => !are.some((outer) => containsPrefix(outer, p)));
}

/** Gives the prefixes of a checked network their one canonical text. Edits it. */
export function canonize(network: Network): void {
  for (const part of ["prefixes", "destinationPrefixes", "additionalAnnouncableCidrs"] as const) {
    const parsed = parsePrefixes(network[part]);
    if (parsed.ok) network[part] = parsed.value.map(prefixText);
  }
}

/** Prefixes without bits beyond their length; the first that is none is the error. */
export function parsePrefixes(texts: readonly string[]): Result<Prefix[]> {
  if (texts.length > prefixesMax) return fail(`${texts.length} prefixes exceed ${prefixesMax}`);
  const prefixes: Prefix[] = [];
  for (const text of texts) {
    const parsed = parsePrefix(text);
    if (!parsed.ok) return parsed;
    prefixes.push(parsed.value);
  }
  return ok(prefixes);
}

/** Prefixes that are stored, which were checked when they came. Should one be none all the same, there are none. */
export function knownPrefixes(texts: readonly string[]): readonly Prefix[] {
  const parsed = parsePrefixes(texts);
  return parsed.ok ? parsed.value : [];
}

/**
 * Lengths of the prefixes that a child gets, per family.
 * @param wanted what the caller asks for; else the parent's default
 */
export function childLengths(
  parent: Network,
  families: readonly Family[],
  wanted: { readonly ipv4?: number | undefined; readonly ipv6?: number | undefined } | undefined,
): Result<ReadonlyMap<Family, number>, Problem> {
  const lengths = new Map<Family, number>();
  for (const family of families) {
    const key = family === 4 ? "ipv4" : "ipv6";
    const length = wanted?.[key] ?? parent.defaultChildPrefixLength?.[key];
    if (length === undefined) {
      return fail({ field: "length", why: `network ${parent.id} says no length for IPv${family}: name one` });
    }
    const least = parent.minChildPrefixLength?.[key] ?? 0;
    if (length < least || length > bitsOf(family)) {
      const why = `/${length} is not within /${least} to /${bitsOf(family)} that network ${parent.id} allows for IPv${family}`;
      return fail({ field: "length", why });
    }
    const ours = knownPrefixes(parent.prefixes).filter((p) => p.family === family);
    if (ours.every((p) => length < p.length)) {
      const why = `/${length} does not fit into ${ours.map(prefixText).join(", ")} of network ${parent.id}`;
      return fail({ field: "length", why });
    }
    lengths.set(family, length);
  }
  return ok(lengths);
}
