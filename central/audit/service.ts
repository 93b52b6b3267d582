import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AuditService as AdminAuditService } from "#gen/metalstack/admin/v2/audit_pb.ts";
import { AuditPhase, AuditService } from "#gen/metalstack/api/v2/audit_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { unknown } from "../catalog/catalog.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { type Scope, traces } from "./traces.ts";

/** What was done: a tenant's own view, and the administrators' of everything, what people did on site included. */
export function auditServices({ state, clock }: { readonly state: State; readonly clock: Clock }): Implementation[] {
  const found = traces(state);
  const get = (scope: Scope, { uuid, phase }: { readonly uuid: string; readonly phase?: AuditPhase | undefined }) => ({
    trace: found.get(scope, uuid, phase || AuditPhase.REQUEST) ?? unknown("audit trace", uuid),
  });
  // Another tenant may have had this login before.
  const own = (login: string): Scope => {
    const createdAt = state.get(kinds.tenant, login)?.value.meta?.createdAt;
    return { tenant: login, sinceMs: createdAt === undefined ? 0 : timestampMs(createdAt) };
  };
  return [
    implement(AuditService, {
      get: (request) => get(own(request.login), request),
      list: ({ login, query }) => ({ traces: found.list(own(login), query, clock.wallMs()) }),
    }),
    implement(AdminAuditService, {
      get: (request) => get("all", request),
      list: ({ query }) => ({ traces: found.list("all", query, clock.wallMs()) }),
    }),
  ];
}
