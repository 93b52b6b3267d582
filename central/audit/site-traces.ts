// What people did on site, kept for each partition by itself: one in which much is done takes no room from the others.
import { isOfStranger, siteTrail } from "#domain/audit/site-trail.ts";
import type { AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Fold } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { deleteRows } from "../store/retention.ts";
import type { State } from "../store/state.ts";
import { traceBytes } from "./retention.ts";
import { timeOf } from "./trace.ts";

/** Of one partition. Bytes are counted as `traceBytes`: at a flat rate beside the bodies, which is more than an agent counts. */
const kept = { traces: siteTrail.traces, bytes: siteTrail.bytes + siteTrail.traces * traceBytes({}) };
/** Beyond this the oldest go, down to what is kept: so it is not asked again at every trace which they are. */
const most = { traces: kept.traces * 1.1, bytes: kept.bytes * 1.1 };
const lookMs = 10_000;

type SiteTrace = Pick<AuditTrace, "uuid" | "phase">;

export const siteTraceId = (partition: string, { uuid, phase }: SiteTrace): string => `${partition}/${uuid}/${phase}`;

export const partitionOf = (id: string): string => id.slice(0, id.indexOf("/"));

interface Sum {
  readonly traces: number;
  readonly bytes: number;
}

/** What a partition's traces count together. */
const sums: Fold<typeof kinds.siteAudit, Sum, Sum> = {
  kind: kinds.siteAudit,
  name: "of-partition",
  partsOf: ({ id, value }) => [{ group: partitionOf(id), part: { traces: 1, bytes: traceBytes(value) } }],
  none: () => ({ traces: 0, bytes: 0 }),
  with: (sum, part) => ({ traces: sum.traces + part.traces, bytes: sum.bytes + part.bytes }),
  without: (sum, part) => ({ traces: sum.traces - part.traces, bytes: sum.bytes - part.bytes }),
};

interface Ports {
  readonly state: State;
  readonly clock: Clock;
  readonly log: Log;
}

/** Every ten seconds takes away, of each partition that has too many, the oldest, until the signal aborts. */
export async function keepSiteTraces({ state, clock, log }: Ports, signal: AbortSignal): Promise<void> {
  const ofPartition = state.index(kinds.siteAudit, "partition", (_trace, _beside, id) => partitionOf(id));
  state.fold(sums);
  while (!signal.aborted) {
    for (const { id } of state.list(kinds.partition)) {
      const { traces, bytes } = state.folded(sums, id);
      if (traces <= most.traces && bytes <= most.bytes) continue;
      try {
        await deleteRows(state, kinds.siteAudit, surplus(state.by(ofPartition, id)), signal);
      } catch (error) {
        log.warn("site-traces-not-pruned", { partition: id, error });
      }
    }
    await clock.sleep(lookMs, signal).catch(() => undefined);
  }
}

/** Ids of the oldest, without which the rest is what is kept. @param rows in any order */
function surplus(rows: readonly { readonly id: string; readonly value: AuditTrace }[]): readonly string[] {
  let left: Sum = kept;
  let strangers = siteTrail.strangers;
  const newestFirst = rows.toSorted((a, b) => timeOf(b.value) - timeOf(a.value) || b.value.phase - a.value.phase);
  const gone = newestFirst.filter(({ value }) => {
    if (isOfStranger(value) && --strangers < 0) return true;
    left = sums.without(left, { traces: 1, bytes: traceBytes(value) });
    return left.traces < 0 || left.bytes < 0;
  });
  return gone.map(({ id }) => id);
}
