import type { ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { AuditPhase, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { siteTraceId } from "../audit/site-traces.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { decoded } from "./decoded.ts";
import type { Took } from "./took.ts";

const phases: readonly AuditPhase[] = [AuditPhase.REQUEST, AuditPhase.RESPONSE];
const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Takes a trace of what somebody did on site. One that is there already stays as it is: nobody rewrites what was done. */
export function takeAudit(tx: Pick<Tx, "get" | "put">, entry: ReportEntry, partition: string): Took {
  const trace = decoded(AuditTraceSchema, entry.value);
  if (!trace || !uuidForm.test(trace.uuid) || !phases.includes(trace.phase))
    return { rejected: "audit: the trace cannot be read" };
  const id = siteTraceId(partition, trace);
  if (tx.get(kinds.siteAudit, id)) return {};
  tx.put(kinds.siteAudit, id, trace);
  return {};
}
