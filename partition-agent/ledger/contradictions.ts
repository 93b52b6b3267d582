// What central told under an equal revision, and was not what it had told before. Pure.
import { create } from "@bufbuild/protobuf";
import { itemHash } from "#domain/sync/item-digest.ts";
import {
  type LedgerContradiction,
  LedgerContradictionSchema,
  type LedgerContradictions,
  LedgerContradictionsSchema,
} from "#gen/holdfast/state/v1/ledger_pb.ts";
import type { DesiredItem } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { isSame } from "#lib/message.ts";

const namedMax = 100;

export const contradictionOf = (kept: DesiredItem, told: DesiredItem): LedgerContradiction =>
  create(LedgerContradictionSchema, {
    kind: kept.kind,
    id: kept.id,
    revision: kept.revision,
    kept: digestText(kept),
    told: digestText(told),
  });

const digestText = (item: DesiredItem): string => itemHash(item).toString(16).padStart(16, "0");

/** All that a full set had: what was found before is healed, or found again. */
export const contradictions = (found: readonly LedgerContradiction[]): LedgerContradictions =>
  create(LedgerContradictionsSchema, { items: found.slice(0, namedMax), total: found.length });

/** With more of them; each item is named once, with what was told of it last. */
export function withFound(
  known: LedgerContradictions | undefined,
  found: readonly LedgerContradiction[],
): LedgerContradictions | undefined {
  if (found.length === 0) return known;
  const { items = [], total = 0 } = known ?? {};
  const before = items.filter((one) => !found.some((other) => isAlike(one, other)));
  const more = found.length - (items.length - before.length);
  return create(LedgerContradictionsSchema, { items: [...before, ...found].slice(0, namedMax), total: total + more });
}

/** Without those of items of which central has told a later revision. */
export function withoutHealed(
  known: LedgerContradictions | undefined,
  later: readonly DesiredItem[],
): LedgerContradictions | undefined {
  const left = known?.items.filter((one) => !later.some((item) => isAlike(one, item)));
  if (!known || !left || left.length === known.items.length) return known;
  return create(LedgerContradictionsSchema, { items: left, total: known.total - (known.items.length - left.length) });
}

export const isSameList = (one: LedgerContradictions, other: LedgerContradictions | undefined): boolean =>
  other === undefined ? one.total === 0 : isSame(one, other);

const isAlike = (one: Subject, other: Subject): boolean => one.kind === other.kind && one.id === other.id;

interface Subject {
  readonly kind: string;
  readonly id: string;
}
