// How long traces are kept: the oldest give way, by age and by bytes.
import type { AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import type { Fold, Row } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";

export interface Retention {
  readonly keepMs: number;
  /** Of all traces, counted by `traceBytes`. */
  readonly bytesMax: number;
}

/** What one trace counts: its body, and all else of it with its keys in the indexes at a flat rate. */
export const traceBytes = ({ body = "" }: AuditTrace): number => body.length + 512;

/** What all traces count together. */
export const bytesKept: Fold<typeof kinds.audit, number, number> = {
  kind: kinds.audit,
  name: "bytes",
  partsOf: ({ value }) => [{ group: "", part: traceBytes(value) }],
  none: () => 0,
  with: (sum, bytes) => sum + bytes,
  without: (sum, bytes) => sum - bytes,
};

/** Ids begin with the time, so that their order is that of time. @param atMs wall clock, milliseconds since 1970 */
export const traceId = (atMs: number, { uuid, phase }: Pick<AuditTrace, "uuid" | "phase">): string =>
  `${`${Math.max(0, Math.trunc(atMs))}`.padStart(15, "0")}/${uuid}/${phase}`;

/**
 * Ids of the traces that have to go. When there are too many bytes, a tenth more than has to go does, so that this is not asked again
 * at every trace.
 * @param rows of all traces, in id order
 * @param nowMs wall clock
 */
export function outlived(
  rows: readonly Row<typeof kinds.audit>[],
  { keepMs, bytesMax }: Retention,
  nowMs: number,
): readonly string[] {
  const bytes = rows.reduce((sum, { value }) => sum + traceBytes(value), 0);
  const oldest = traceId(nowMs - keepMs, { uuid: "", phase: 0 });
  let surplus = bytes > bytesMax ? bytes - bytesMax * 0.9 : 0;
  const gone: string[] = [];
  for (const { id, value } of rows) {
    if (id >= oldest && surplus <= 0) break;
    gone.push(id);
    surplus -= traceBytes(value);
  }
  return gone;
}
