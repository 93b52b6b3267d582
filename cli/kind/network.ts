import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { NATTypeSchema, NetworkSchema, NetworkService, NetworkTypeSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { ageText } from "../view/time.ts";
import { metaLabels, shown } from "./kind.ts";

export const kind = shown({
  schema: NetworkSchema,
  columns: (nowMs) => [
    { title: "ID", of: (n) => n.id },
    { title: "NAME", of: (n) => n.name ?? "" },
    { title: "TYPE", of: (n) => enumText(NetworkTypeSchema, n.type) },
    { title: "PARTITION", of: (n) => n.partition ?? "" },
    { title: "PROJECT", of: (n) => n.project ?? "" },
    { title: "PREFIXES", of: (n) => n.prefixes.join(",") },
    { title: "DESTINATIONS", of: (n) => n.destinationPrefixes.join(","), wide: true },
    { title: "NAT", of: (n) => enumText(NATTypeSchema, n.natType), wide: true },
    { title: "VRF", of: (n) => `${n.vrf ?? ""}`, wide: true },
    { title: "PARENT", of: (n) => n.parentNetwork ?? "", wide: true },
    { title: "USED", of: (n) => `${n.consumption?.ipv4?.usedIps ?? ""}`, wide: true },
    { title: "LABELS", of: metaLabels, wide: true },
    { title: "AGE", of: (n) => ageText(n.meta?.createdAt, nowMs) },
  ],
  list: async (api, scope) =>
    scope.isAdmin || scope.project === undefined
      ? (await api.client(AdminNetworkService).list({ query: {} })).networks
      : (await api.client(NetworkService).list({ project: scope.project })).networks,
  get: async (api, id, scope) =>
    scope.isAdmin || scope.project === undefined
      ? (await api.client(AdminNetworkService).get({ id })).network
      : (await api.client(NetworkService).get({ id, project: scope.project })).network,
});
