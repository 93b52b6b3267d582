import { create } from "@bufbuild/protobuf";
import { partitionMatches } from "#domain/partition/query.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { PartitionSchema, PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { catalog } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";

export function partitionServices(ports: ServicePorts): Implementation[] {
  const partitions = catalog(ports, kinds.partition, "partition");
  return [
    implement(PartitionService, {
      get: ({ id }) => ({ partition: partitions.get(id) }),
      list: ({ query }) => ({ partitions: partitions.list((p) => partitionMatches(p, query)) }),
    }),
    implement(AdminPartitionService, {
      async create({ partition = create(PartitionSchema) }) {
        if (partition.id === "") throw new Refusal("invalid", "a partition's id is wanted", { field: "partition.id" });
        return { partition: await partitions.create(partition.id, partition, partition.meta?.labels) };
      },
      // An empty list leaves what is stored: the protocol cannot tell it from none.
      update: async (request) => ({
        partition: await partitions.update(request.id, request, (draft) => {
          if (request.description !== undefined) draft.description = request.description;
          if (request.bootConfiguration !== undefined) draft.bootConfiguration = request.bootConfiguration;
          if (request.dnsServers.length > 0) draft.dnsServers = request.dnsServers;
          if (request.ntpServers.length > 0) draft.ntpServers = request.ntpServers;
          if (request.mgmtServiceAddresses.length > 0) draft.mgmtServiceAddresses = request.mgmtServiceAddresses;
        }),
      }),
      delete: async ({ id }) => ({
        partition: await partitions.remove(id, (tx) => [
          ...tx
            .list(kinds.network)
            .filter((n) => n.value.partition === id)
            .map((n) => `network ${n.id}`),
          ...tx
            .list(kinds.machineObserved)
            .filter((m) => m.value.partition === id)
            .map((m) => `machine ${m.id}`),
          ...tx
            .list(kinds.machineDesired)
            .filter((m) => m.value.partition === id)
            .map((m) => `machine ${m.id}`),
          ...tx
            .list(kinds.switch)
            .filter((s) => s.value.partition === id)
            .map((s) => `switch ${s.id}`),
        ]),
      }),
    }),
  ];
}
