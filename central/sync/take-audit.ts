import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { AuditPhase, type AuditTrace, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { decoded } from "./decoded.ts";
import type { Took } from "./took.ts";

/** Traces of one partition's people that are kept; the oldest give way. */
const tracesMax = 1000;
const phases: readonly AuditPhase[] = [AuditPhase.REQUEST, AuditPhase.RESPONSE];
const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Takes a trace of what somebody did on site. One that is there already stays as it is: nobody rewrites what was done. */
export function takeAudit(tx: Tx, entry: ReportEntry, partition: string): Took {
  const trace = decoded(AuditTraceSchema, entry.value);
  if (!trace || !uuidForm.test(trace.uuid) || !phases.includes(trace.phase))
    return { rejected: "audit: the trace cannot be read" };
  const id = `${partition}/${trace.uuid}/${trace.phase}`;
  if (tx.get(kinds.siteAudit, id)) return {};
  const kept = tx.list(kinds.siteAudit).filter((known) => known.id.startsWith(`${partition}/`));
  const surplus = kept.length + 1 - tracesMax;
  if (surplus > 0) {
    const oldest = kept.toSorted((a, b) => timeOf(a.value) - timeOf(b.value)).slice(0, surplus);
    for (const { id: old } of oldest) tx.delete(kinds.siteAudit, old);
  }
  tx.put(kinds.siteAudit, id, trace);
  return {};
}

const timeOf = ({ timestamp }: AuditTrace): number => (timestamp ? timestampMs(timestamp) : 0);
