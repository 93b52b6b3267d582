// What bench:api asks about: a project with many machines, of which some carry a label, and a network with room for addresses.
import { create, type Message, toBinary } from "@bufbuild/protobuf";
import { membershipId } from "#central/identity/membership.ts";
import { type Kind, keyOf, kinds } from "#central/store/kinds.ts";
import type { Store } from "#central/store/store.ts";
import { newMeta } from "#domain/meta.ts";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { LabelsSchema, ProjectRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { MachineAllocationSchema, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkSchema, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { ProjectMemberSchema, ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";

export const project = "00000000-0000-4000-8000-000000000000";
export const owner = "ann";
/** Carried by `labelled` machines. */
export const label = { bench: "yes" };
export const labelled = 100;

export const machineUuid = (n: number): string => `0e6a6e2c-93c4-4a67-9b5f-${String(n).padStart(12, "0")}`;

/** Items of one commit; it may have 128 operations. */
const together = 100;

/** Written to the store before central reads it. */
export async function fill(store: Store, machines: number, nowMs: number): Promise<void> {
  const puts: { readonly key: string; readonly value: Uint8Array }[] = [];
  const put = (kind: Kind, id: string, value: Message) =>
    puts.push({ key: keyOf(kind, id), value: toBinary(kind.schema, value) });
  const meta = newMeta(undefined, nowMs);
  put(kinds.project, project, create(ProjectSchema, { uuid: project, name: "bench", tenant: "provider", meta }));
  const member = { id: owner, role: ProjectRole.OWNER, meta };
  put(kinds.projectMember, membershipId(project, owner), create(ProjectMemberSchema, member));
  put(kinds.partition, "lab", create(PartitionSchema, { id: "lab", meta }));
  const network = { id: "internet", type: NetworkType.EXTERNAL, prefixes: ["10.0.0.0/8"], vrf: 7, meta };
  put(kinds.network, "internet", create(NetworkSchema, network));
  for (let n = 0; n < machines; n++) {
    const uuid = machineUuid(n);
    const labels = create(LabelsSchema, { labels: { n: `${n}`, ...(n % (machines / labelled) === 0 && label) } });
    const allocation = create(MachineAllocationSchema, {
      uuid,
      project,
      name: `m${n}`,
      hostname: `m${n}`,
      meta: newMeta(labels, nowMs),
      networks: [{ network: "internet", ips: ["10.1.2.3"], prefixes: ["10.0.0.0/8"] }],
    });
    put(
      kinds.machineDesired,
      uuid,
      create(MachineDesiredSchema, { uuid, partition: "lab", epoch: 2n, meta, allocation }),
    );
    const seen = { uuid, partition: "lab", rack: `r${n % 50}`, liveliness: MachineLiveliness.ALIVE, epoch: 2n };
    put(kinds.machineObserved, uuid, create(MachineObservedSchema, seen));
  }
  for (let i = 0; i < puts.length; i += together)
    await store.commit({ conditions: [], puts: puts.slice(i, i + together), deletes: [] });
}
