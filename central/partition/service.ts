import { create } from "@bufbuild/protobuf";
import { issueContext, issuesOf } from "#domain/machine/issues/issues.ts";
import type { MachineView } from "#domain/machine/placement.ts";
import { partitionCapacity } from "#domain/partition/capacity.ts";
import { partitionMatches } from "#domain/partition/query.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import {
  type PartitionBootConfiguration,
  PartitionSchema,
  PartitionService,
} from "#gen/metalstack/api/v2/partition_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { budgetHolders } from "../budget/delegated.ts";
import { catalog } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { checkUrl } from "../catalog/url.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { viewsOf, viewsOfPartition } from "../machine/views.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";

export function partitionServices(ports: ServicePorts): Implementation[] {
  const { state, clock } = ports;
  const partitions = catalog(ports, kinds.partition, "partition");
  return [
    implement(PartitionService, {
      get: ({ id }) => ({ partition: partitions.get(id) }),
      list: ({ query }) => ({ partitions: partitions.list((p) => partitionMatches(p, query)) }),
    }),
    implement(AdminPartitionService, {
      async create({ partition: wanted = create(PartitionSchema) }, context) {
        if (wanted.id === "") throw new Refusal("invalid", "a partition's id is wanted", { field: "partition.id" });
        await checkBootFiles(ports, wanted.id, wanted.bootConfiguration, "partition.boot_configuration");
        const partition = await partitions
          .by(context)
          .create(wanted.id, wanted, wanted.meta?.labels, (tx, partition) => keepAnswer(context, tx, { partition }));
        return { partition };
      },
      // An empty list leaves what is stored: the protocol cannot tell it from none.
      async update(request, context) {
        await checkBootFiles(ports, request.id, request.bootConfiguration, "boot_configuration");
        const partition = await partitions.by(context).update(request.id, request, (draft) => {
          if (request.description !== undefined) draft.description = request.description;
          if (request.bootConfiguration !== undefined) draft.bootConfiguration = request.bootConfiguration;
          if (request.dnsServers.length > 0) draft.dnsServers = request.dnsServers;
          if (request.ntpServers.length > 0) draft.ntpServers = request.ntpServers;
          if (request.mgmtServiceAddresses.length > 0) draft.mgmtServiceAddresses = request.mgmtServiceAddresses;
        });
        return { partition };
      },
      capacity: ({ id, size, project }) => {
        const wanted = id === undefined ? partitions.list().map((p) => p.id) : [partitions.get(id).id];
        const reservations = state.list(kinds.sizeReservation).map((row) => row.value);
        // Of all: some issues are that two machines have the same.
        const context = issueContext(viewsOf(state), clock.wallMs());
        const issues = (m: MachineView) => issuesOf(m, context);
        return {
          partitionCapacity: wanted.map((partition) =>
            partitionCapacity(partition, {
              machines: viewsOfPartition(state, partition),
              reservations,
              issuesOf: issues,
              size,
              project,
            }),
          ),
        };
      },
      delete: async ({ id }, context) => ({
        partition: await partitions.by(context).remove(id, (tx) => [
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
          ...tx
            .list(kinds.sizeReservation)
            .filter((r) => r.value.partitions.includes(id))
            .map((r) => `size reservation ${r.id}`),
          ...budgetHolders(tx, (b) => b.partition === id),
        ]),
      }),
    }),
  ];
}

async function checkBootFiles(
  ports: ServicePorts,
  id: string,
  given: PartitionBootConfiguration | undefined,
  field: string,
): Promise<void> {
  if (!given) return;
  const what = `partition ${id}`;
  await checkUrl(ports, { what, url: given.kernelUrl, field: `${field}.kernel_url` });
  await checkUrl(ports, { what, url: given.imageUrl, field: `${field}.image_url` });
}
