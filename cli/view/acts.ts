// Audit traces as people read them: the two of one call are one line.
import { AuditPhase, type AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import { timestampMs } from "./time.ts";

/** What is known of one act: the trace of its begin, of its end, or both. */
export interface Act {
  readonly id: string;
  readonly begun: AuditTrace | undefined;
  readonly ended: AuditTrace | undefined;
  /** Whichever is there, the begin first. */
  readonly either: AuditTrace;
}

/** In the order in which the traces come. */
export function actsOf(traces: readonly AuditTrace[]): readonly Act[] {
  const acts = new Map<string, Act>();
  for (const trace of traces) {
    const { begun, ended } = acts.get(trace.uuid) ?? {};
    const both = trace.phase === AuditPhase.RESPONSE ? { begun, ended: trace } : { begun: trace, ended };
    acts.set(trace.uuid, { id: trace.uuid, ...both, either: both.begun ?? trace });
  }
  return [...acts.values()];
}

/** In full, as the clock of who wrote it down says; empty when unknown. */
export const traceTime = ({ timestamp: t }: AuditTrace): string => (t ? new Date(timestampMs(t)).toISOString() : "");
