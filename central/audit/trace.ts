// A call as two traces: when it began and when it ended. What the contract's AuditTrace has no field for stands in its labels.
import { create, toJson } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { AuditPhase, type AuditTrace, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { AdminRole, InfraRole, MachineRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import type { Caller } from "../access/caller.ts";
import type { Rule, Subject } from "../access/rule.ts";

/** Labels of traces. */
export const traceLabels = {
  /** uuid of the caller's token */
  token: "holdfast/token",
  /** what the caller was at the time of the call, such as `tenant OWNER, admin VIEWER` */
  roles: "holdfast/roles",
  /** milliseconds, in the answer's trace */
  duration: "holdfast/duration-ms",
  /** of a stream: messages sent by the server */
  messages: "holdfast/messages",
  /** of what people did on site: where */
  partition: "holdfast/partition",
} as const;

/** What both traces of a call have in common. */
export interface Call {
  readonly uuid: string;
  /** `/metalstack.api.v2.IPService/Get` */
  readonly method: string;
  readonly user: string;
  readonly token: string;
  readonly roles: string;
  /** Whose view shows it; empty: the administrators' alone. */
  readonly tenant: string;
  /** Empty: about no project. */
  readonly project: string;
  readonly address: string;
}

/** How a call ended. */
export interface Outcome {
  /** gRPC's status code; 0 is success. */
  readonly code: number;
  readonly durationMs: number;
  /** Of a stream. */
  readonly messages?: number;
}

/** @param atMs wall clock; of the end, where there is an outcome. Fractions, which monotonic clocks have, are cut off */
export function traceOf(call: Call, atMs: number, body: string | undefined, outcome?: Outcome): AuditTrace {
  const { uuid, method, user, tenant, project, address } = call;
  const at = timestampFromMs(Math.trunc(atMs));
  const labels = {
    ...(call.token && { [traceLabels.token]: call.token }),
    ...(call.roles && { [traceLabels.roles]: call.roles }),
    ...(outcome && { [traceLabels.duration]: `${Math.round(outcome.durationMs)}` }),
    ...(outcome?.messages !== undefined && { [traceLabels.messages]: `${outcome.messages}` }),
  };
  return create(AuditTraceSchema, {
    uuid,
    timestamp: at,
    user,
    tenant,
    method,
    sourceIp: address,
    phase: outcome === undefined ? AuditPhase.REQUEST : AuditPhase.RESPONSE,
    meta: { createdAt: at, labels: { labels } },
    ...(project && { project }),
    ...(body !== undefined && { body }),
    ...(outcome && { resultCode: outcome.code }),
  });
}

/** Wall clock, milliseconds; 0 where a trace has none. */
export const timeOf = ({ timestamp }: AuditTrace): number => (timestamp === undefined ? 0 : timestampMs(timestamp));

/** One line of JSON, to be printed: `{"audit":{…}}`, the trace in protobuf's JSON. */
export const auditLine = (trace: AuditTrace): string =>
  `${JSON.stringify({ audit: toJson(AuditTraceSchema, trace) })}\n`;

/** The caller's roles that count for this method, in words. */
export function rolesInUse(rule: Rule, { rights }: Caller, { project, tenant, machine }: Subject): string {
  return [
    rule.projectRoles.length > 0 ? named("project", ProjectRole, rights.projectRole(project)) : [],
    rule.tenantRoles.length > 0 ? named("tenant", TenantRole, rights.tenantRole(tenant)) : [],
    rule.adminRoles.length > 0 ? named("admin", AdminRole, rights.adminRole) : [],
    rule.infraRoles.length > 0 ? named("infra", InfraRole, rights.infraRole) : [],
    rule.machineRoles.length > 0 ? named("machine", MachineRole, rights.machineRole(machine)) : [],
    rights.permits(rule.method, project || tenant || machine) ? ["method permitted"] : [],
  ]
    .flat()
    .join(", ");
}

function named<R extends number>(of: string, words: Readonly<Record<string, R>>, role: R): readonly string[] {
  const word = Object.keys(words).find((key) => words[key] === role);
  return role === 0 || word === undefined ? [] : [`${of} ${word}`];
}

/**
 * In whose view a call belongs: the tenant whose role the method asks for, the tenant of its project, or for what everybody may the
 * caller's own. Calls for administrators and infrastructure belong in none: they tell of what a tenant must not know.
 * @param tenantOf of a project; undefined when there is none of this uuid
 */
export function tenantAbout(
  rule: Rule,
  user: string,
  { project, tenant }: Subject,
  tenantOf: (project: string) => string | undefined,
): string {
  if (rule.projectRoles.length > 0) return (project && tenantOf(project)) || "";
  if (rule.tenantRoles.length > 0) return tenant;
  return rule.isSelf ? user : "";
}
