// What is taken: of the address spaces by addresses and by child networks, and of the numbers that are claimed. It is made of what is
// stored and of nothing else, so it cannot come apart from that, and no key is shared by those who take different things.
import { addressBlock, familySpace, prefixBlock } from "#domain/network/free.ts";
import { type Block, emptySpace, giveBack, type Space, take } from "#domain/network/ipam.ts";
import { knownPrefixes } from "#domain/network/rules.ts";
import { type Family, parseAddress } from "#lib/net/prefix.ts";
import type { Fold, Part, Row } from "../store/cache.ts";
import { type Kind, kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

export interface Spaces {
  /** Groups: `spaceName`. */
  readonly addresses: Fold<typeof kinds.ip, Space, Block>;
  /** Prefixes of child networks. Groups: `spaceName`. */
  readonly children: Fold<typeof kinds.network, Space, Block>;
  /** Groups: the part of the claim before the number, such as `vrf`. */
  readonly numbers: Fold<typeof kinds.claim, Space, Block>;
}

/** Addresses are unique within a namespace; all that is in none share one space. */
export const spaceName = (namespace: string | undefined, family: Family): string => `${namespace ?? ""}/${family}`;

/** Asked more than once it gives the same. */
export const spaces = (state: Pick<State, "fold">): Spaces => ({
  addresses: state.fold(fold(kinds.ip, addressOf, familyOf)),
  children: state.fold(fold(kinds.network, prefixesOf, familyOf)),
  numbers: state.fold(fold(kinds.claim, numberOf, () => emptySpace(numberBits))),
});

const numberBits = 32;

const fold = <K extends Kind>(
  kind: K,
  partsOf: (row: Row<K>) => readonly Part<Block>[],
  none: (group: string) => Space,
): Fold<K, Space, Block> => ({ kind, name: "space", partsOf, none, with: take, without: giveBack });

const familyOf = (group: string): Space => familySpace(group.endsWith("/6") ? 6 : 4);

function addressOf({ value }: Row<typeof kinds.ip>): Part<Block>[] {
  const address = parseAddress(value.ip);
  if (!address.ok) return [];
  return [{ group: spaceName(value.namespace, address.value.family), part: addressBlock(address.value) }];
}

function prefixesOf({ value }: Row<typeof kinds.network>): Part<Block>[] {
  if (value.parentNetwork === undefined) return [];
  return knownPrefixes(value.prefixes).map((p) => ({
    group: spaceName(value.namespace, p.family),
    part: prefixBlock(p),
  }));
}

function numberOf({ id }: Row<typeof kinds.claim>): Part<Block>[] {
  const [, group = "", text = ""] = /^(asn|vrf)\/(\d{1,10})$/.exec(id) ?? [];
  const isNumber = text !== "" && Number(text) < 2 ** numberBits;
  return isNumber ? [{ group, part: { base: BigInt(text), length: numberBits } }] : [];
}
