import { IPService as AdminIPService } from "#gen/metalstack/admin/v2/ip_pb.ts";
import { IPSchema, IPService, IPTypeSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { ageText } from "../view/time.ts";
import { metaLabels, shown } from "./kind.ts";

export const kind = shown({
  schema: IPSchema,
  columns: (nowMs) => [
    { title: "IP", of: (i) => i.ip },
    { title: "NAME", of: (i) => i.name },
    { title: "TYPE", of: (i) => enumText(IPTypeSchema, i.type) },
    { title: "NETWORK", of: (i) => i.network },
    { title: "PROJECT", of: (i) => i.project },
    { title: "DESCRIPTION", of: (i) => i.description, wide: true },
    { title: "LABELS", of: metaLabels, wide: true },
    { title: "AGE", of: (i) => ageText(i.meta?.createdAt, nowMs) },
  ],
  list: async (api, scope) =>
    scope.isAdmin || scope.project === undefined
      ? (await api.client(AdminIPService).list({ query: {} })).ips
      : (await api.client(IPService).list({ project: scope.project })).ips,
  get: async (api, id, scope) =>
    scope.isAdmin || scope.project === undefined
      ? (await api.client(AdminIPService).list({ query: { ip: id } })).ips[0]
      : (await api.client(IPService).get({ ip: id, project: scope.project })).ip,
});
