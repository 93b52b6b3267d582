// How long traces are kept: the oldest give way, by age and by bytes.
import type { AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import type { Row } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { bytesOfAll, outlivedOf, type Retention, timedId } from "../store/retention.ts";

/** What one trace counts: its body, and all else of it with its keys in the indexes at a flat rate. */
export const traceBytes = ({ body = "" }: Pick<AuditTrace, "body">): number => body.length + 512;

/** What all traces count together. */
export const bytesKept = bytesOfAll(kinds.audit, traceBytes);

/** @param atMs wall clock, milliseconds since 1970 */
export const traceId = (atMs: number, { uuid, phase }: Pick<AuditTrace, "uuid" | "phase">): string =>
  timedId(atMs, `${uuid}/${phase}`);

/** Ids of the traces that have to go. @param rows of all traces, in id order @param nowMs wall clock */
export const outlived = (
  rows: readonly Row<typeof kinds.audit>[],
  retention: Retention,
  nowMs: number,
): readonly string[] => outlivedOf(rows, traceBytes, retention, nowMs).map(({ id }) => id);
