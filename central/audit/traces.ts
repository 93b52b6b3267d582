// Finds traces by indexes: each is found under its uuid, and under the hour in which it was written with each thing that is asked for.
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type AuditPhase,
  type AuditQuery,
  AuditQuerySchema,
  type AuditTrace,
} from "#gen/metalstack/api/v2/audit_pb.ts";
import { LabelsSchema, MetaSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import { dayMs, hourMs } from "#lib/durations.ts";
import { copyOf } from "#lib/message.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { partitionOf } from "./site-traces.ts";
import { timeOf, traceLabels } from "./trace.ts";

/** Without `from` and `limit` in the query. */
const windowMs = 8 * hourMs;
const limitDefault = 200;
/** Nothing is kept longer, so nothing older is looked for; and no clock is so far ahead of this one. */
export const keptDaysMax = 366;
const aheadMs = hourMs;

/** Whose traces: a tenant's since it has been there, or all of them with those of people on site. */
export type Scope = { readonly tenant: string; readonly sinceMs: number } | "all";

export interface Traces {
  /** Newest first. */
  list(scope: Scope, query: AuditQuery | undefined, nowMs: number): AuditTrace[];
  get(scope: Scope, uuid: string, phase: AuditPhase): AuditTrace | undefined;
}

export function traces(state: State): Traces {
  const calls = state.index(kinds.audit, "found-by", foundBy);
  const acts = state.index(kinds.siteAudit, "found-by", foundBy);
  const under = (scope: Scope, key: string): readonly AuditTrace[] => [
    ...state.by(calls, key).map(({ value }) => value),
    ...(scope === "all" ? state.by(acts, key).map(({ id, value }) => onSite(id, value)) : []),
  ];
  const isIn = (scope: Scope, trace: AuditTrace) =>
    scope === "all" || (scope.tenant !== "" && trace.tenant === scope.tenant && timeOf(trace) >= scope.sinceMs);
  return {
    get: (scope, uuid, phase) =>
      under(scope, uuidKey(uuid)).find((trace) => trace.phase === phase && isIn(scope, trace)),
    list(scope, query = create(AuditQuerySchema), nowMs) {
      const { uuid, limit = limitDefault } = query;
      const fits = (trace: AuditTrace) => isIn(scope, trace) && matches(trace, query);
      if (uuid !== undefined) return newestFirst(under(scope, uuidKey(uuid)).filter(fits)).slice(0, limit);
      const { fromMs, toMs } = period(query, nowMs);
      const isWithin = (trace: AuditTrace) => timeOf(trace) >= fromMs && timeOf(trace) <= toMs;
      const key = narrowest(scope, query);
      const found: AuditTrace[] = [];
      for (let hour = hourOf(toMs); hour >= hourOf(fromMs) && found.length < limit; hour--) {
        const rows = under(scope, hourKey(hour, key));
        found.push(...newestFirst(rows.filter((trace) => isWithin(trace) && fits(trace))));
      }
      return found.slice(0, limit);
    },
  };
}

const hourOf = (ms: number): number => Math.floor(ms / hourMs);
const newestFirst = (rows: readonly AuditTrace[]) =>
  rows.toSorted((a, b) => timeOf(b) - timeOf(a) || b.phase - a.phase);

function period({ from, to }: AuditQuery, nowMs: number): { readonly fromMs: number; readonly toMs: number } {
  const toMs = Math.min(to === undefined ? nowMs : timestampMs(to), nowMs + aheadMs);
  const oldestMs = nowMs - keptDaysMax * dayMs;
  return { fromMs: Math.max(from === undefined ? nowMs - windowMs : timestampMs(from), oldestMs), toMs };
}

const uuidKey = (uuid: string) => `uuid ${uuid.toLowerCase()}`;
const hourKey = (hour: number, what: string) => `${hour} ${what}`;

/** What an index finds a trace by, within its hour. */
function foundBy(trace: AuditTrace): readonly string[] {
  const { user, tenant, project, method, sourceIp, resultCode } = trace;
  const by = [
    "all",
    ...(user ? [`user ${user}`] : []),
    ...(tenant ? [`tenant ${tenant}`] : []),
    ...(project ? [`project ${project}`] : []),
    ...(method ? [`method ${method}`] : []),
    ...(sourceIp ? [`address ${sourceIp}`] : []),
    ...(resultCode === undefined ? [] : [`code ${resultCode}`]),
  ];
  return [uuidKey(trace.uuid), ...by.map((what) => hourKey(hourOf(timeOf(trace)), what))];
}

/** Of what is asked for, what few traces have in common. */
function narrowest(scope: Scope, { project, user, sourceIp, method, resultCode }: AuditQuery): string {
  if (project !== undefined) return `project ${project}`;
  if (user !== undefined) return `user ${user}`;
  if (sourceIp !== undefined) return `address ${sourceIp}`;
  if (method !== undefined) return `method ${method}`;
  if (scope !== "all") return `tenant ${scope.tenant}`;
  return resultCode === undefined ? "all" : `code ${resultCode}`;
}

function matches(trace: AuditTrace, query: AuditQuery): boolean {
  const same = <T>(wanted: T | undefined, has: T) => wanted === undefined || wanted === has;
  return (
    same(query.uuid?.toLowerCase(), trace.uuid.toLowerCase()) &&
    same(query.user, trace.user) &&
    same(query.project, trace.project) &&
    same(query.method, trace.method) &&
    same(query.sourceIp, trace.sourceIp) &&
    same(query.resultCode, trace.resultCode) &&
    same(query.phase === 0 ? undefined : query.phase, trace.phase) &&
    (query.body === undefined || (trace.body ?? "").includes(query.body))
  );
}

/** The trace of an act on site, with the partition, which is a part of its id. */
function onSite(id: string, trace: AuditTrace): AuditTrace {
  const shown = copyOf(trace);
  shown.meta ??= create(MetaSchema);
  shown.meta.labels ??= create(LabelsSchema);
  shown.meta.labels.labels[traceLabels.partition] = partitionOf(id);
  return shown;
}
