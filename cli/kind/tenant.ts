import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { TenantSchema, TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { ageText } from "../view/time.ts";
import { metaLabels, shown } from "./kind.ts";

export const kind = shown({
  schema: TenantSchema,
  columns: (nowMs) => [
    { title: "LOGIN", of: (t) => t.login },
    { title: "NAME", of: (t) => t.name },
    { title: "EMAIL", of: (t) => t.email, wide: true },
    { title: "DESCRIPTION", of: (t) => t.description },
    { title: "LABELS", of: metaLabels, wide: true },
    { title: "AGE", of: (t) => ageText(t.meta?.createdAt, nowMs) },
  ],
  list: async (api, scope) =>
    scope.isAdmin
      ? (await api.client(AdminTenantService).list({ query: {} })).tenants
      : (await api.client(TenantService).list({})).tenants,
  get: async (api, id) => (await api.client(TenantService).get({ login: id })).tenant,
});
