import { TokenService as AdminTokenService } from "#gen/metalstack/admin/v2/token_pb.ts";
import { AdminRoleSchema, InfraRoleSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import { type Token, TokenSchema, TokenService, TokenTypeSchema } from "#gen/metalstack/api/v2/token_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { timestampMs } from "../view/time.ts";
import { shown } from "./kind.ts";

export const kind = shown({
  schema: TokenSchema,
  columns: () => [
    { title: "UUID", of: (t) => t.uuid },
    { title: "USER", of: (t) => t.user },
    { title: "TYPE", of: (t) => enumText(TokenTypeSchema, t.tokenType) },
    { title: "ROLES", of: rolesText },
    { title: "DESCRIPTION", of: (t) => t.description },
    { title: "EXPIRES", of: (t) => (t.expires ? new Date(timestampMs(t.expires)).toISOString().slice(0, 16) : "") },
  ],
  list: async (api, scope) =>
    scope.isAdmin
      ? (await api.client(AdminTokenService).list({ query: {} })).tokens
      : (await api.client(TokenService).list({})).tokens,
  get: async (api, id) => (await api.client(TokenService).get({ uuid: id })).token,
});

function rolesText(t: Token): string {
  const admin = t.adminRole ? [`admin:${enumText(AdminRoleSchema, t.adminRole)}`] : [];
  const infra = t.infraRole ? [`infra:${enumText(InfraRoleSchema, t.infraRole)}`] : [];
  const count = (what: string, roles: object) =>
    Object.keys(roles).length ? [`${what}:${Object.keys(roles).length}`] : [];
  return [
    ...admin,
    ...infra,
    ...count("projects", t.projectRoles),
    ...count("tenants", t.tenantRoles),
    ...count("machines", t.machineRoles),
  ].join(" ");
}
