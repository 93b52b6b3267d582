// What every stored thing carries: labels, times, generation; and how updates change them.
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Labels,
  type Meta,
  MetaSchema,
  OptimisticLockingStrategy,
  type UpdateLabels,
  type UpdateMeta,
} from "#gen/metalstack/api/v2/common_pb.ts";
import { Refusal } from "#lib/refusal.ts";

/** Labels of one thing. */
export const labelsMax = 256;

/** @param nowMs wall clock, milliseconds since 1970 */
export function newMeta(labels: Labels | undefined, nowMs: number): Meta {
  checkCount(Object.keys(labels?.labels ?? {}).length);
  const now = timestampFromMs(nowMs);
  return create(MetaSchema, { createdAt: now, updatedAt: now, ...(labels === undefined ? {} : { labels }) });
}

/**
 * The meta of a thing that has just changed. `updated_at` always moves on, even when the clock does not, because callers lock on it.
 */
export function touched(meta: Meta | undefined, nowMs: number, labels?: UpdateLabels): Meta {
  const before = meta?.updatedAt === undefined ? 0 : timestampMs(meta.updatedAt);
  const { labels: old, ...rest } = meta ?? create(MetaSchema);
  const next = labels === undefined ? old : updated(old, labels);
  return create(MetaSchema, {
    ...rest,
    generation: (meta?.generation ?? 0n) + 1n,
    updatedAt: timestampFromMs(Math.max(nowMs, before + 1)),
    ...(next === undefined ? {} : { labels: next }),
  });
}

function updated(old: Labels | undefined, change: UpdateLabels): Labels | undefined {
  switch (change.strategy.case) {
    case "replace":
      checkCount(Object.keys(change.strategy.value.labels).length);
      return change.strategy.value;
    case "patch": {
      const { update, remove } = change.strategy.value;
      const gone = new Set(remove);
      const kept = Object.entries(old?.labels ?? {}).filter(([key]) => !gone.has(key));
      const labels = { ...Object.fromEntries(kept), ...update?.labels };
      checkCount(Object.keys(labels).length);
      return { $typeName: "metalstack.api.v2.Labels", labels };
    }
    default:
      return old;
  }
}

/** Names of the labels that a thing gets or loses. What a replacement does not name is not among them. */
export function labelsTouched(labels: Labels | UpdateLabels | undefined): string[] {
  if (labels === undefined) return [];
  if ("labels" in labels) return Object.keys(labels.labels);
  const { strategy } = labels;
  if (strategy.case === "patch") return [...Object.keys(strategy.value.update?.labels ?? {}), ...strategy.value.remove];
  return Object.keys(strategy.value?.labels ?? {});
}

function checkCount(count: number): void {
  if (count <= labelsMax) return;
  throw new Refusal("invalid", `${count} labels exceed ${labelsMax}`, { field: "labels" });
}

/**
 * Optimistic lock: with the client's strategy (the default) the time that the caller saw must be the stored one.
 * @throws Refusal "conflict" when another change came between
 */
export function checkLock(what: string, meta: Meta | undefined, update: UpdateMeta | undefined): void {
  if (update === undefined || update.lockingStrategy === OptimisticLockingStrategy.SERVER) return;
  const field = "update_meta.updated_at";
  if (update.updatedAt === undefined) {
    throw new Refusal("invalid", `${what}: updated_at is wanted, or the locking strategy SERVER`, { field });
  }
  if (same(update.updatedAt, meta?.updatedAt)) return;
  throw new Refusal("conflict", `${what} was changed in the meantime: read it again`, { reason: "CHANGED", field });
}

const same = (a: Timestamp, b: Timestamp | undefined): boolean =>
  b !== undefined && a.seconds === b.seconds && a.nanos === b.nanos;

/** Whether a thing carries all labels that a query asks for. */
export const hasLabels = (meta: Meta | undefined, wanted: Labels | undefined): boolean =>
  Object.entries(wanted?.labels ?? {}).every(([key, value]) => meta?.labels?.labels[key] === value);
