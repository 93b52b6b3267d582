import { PartitionSchema, PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { ageText } from "../view/time.ts";
import { metaLabels, shown } from "./kind.ts";

export const kind = shown({
  schema: PartitionSchema,
  columns: (nowMs) => [
    { title: "ID", of: (p) => p.id },
    { title: "DESCRIPTION", of: (p) => p.description },
    { title: "DNS", of: (p) => p.dnsServers.map((s) => s.ip).join(","), wide: true },
    { title: "NTP", of: (p) => p.ntpServers.map((s) => s.address).join(","), wide: true },
    { title: "LABELS", of: metaLabels, wide: true },
    { title: "AGE", of: (p) => ageText(p.meta?.createdAt, nowMs) },
  ],
  list: async (api) => (await api.client(PartitionService).list({})).partitions,
  get: async (api, id) => (await api.client(PartitionService).get({ id })).partition,
});
