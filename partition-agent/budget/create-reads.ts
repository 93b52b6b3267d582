import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import type { CreateReads, NamedThings } from "#domain/machine/create.ts";
import type { Budget } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { Meta } from "#gen/metalstack/api/v2/common_pb.ts";
import { FilesystemLayoutSchema } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeImageConstraintSchema } from "#gen/metalstack/api/v2/size_imageconstraint_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { desiredOf, networkOf, type Site } from "../boot/site.ts";

const listed = {
  image: ["image", ImageSchema],
  filesystemLayout: ["filesystem-layout", FilesystemLayoutSchema],
  network: ["network", NetworkSchema],
} as const;

/** What a creation names, as central last told. Of projects the agent knows those that have a budget. */
export function createReads(site: Site, budgets: readonly Budget[]): CreateReads {
  const { ledger } = site;
  const find = (kind: keyof NamedThings, id: string): (Message & { meta?: Meta | undefined }) | undefined => {
    switch (kind) {
      case "project":
        return budgets.some(({ project }) => project === id) ? create(ProjectSchema, { uuid: id }) : undefined;
      case "partition":
        return ledger.get("partition", id, PartitionSchema);
      case "size":
        return ledger.get("size", id, SizeSchema);
      case "image":
        return ledger.get("image", id, ImageSchema);
      case "filesystemLayout":
        return ledger.get("filesystem-layout", id, FilesystemLayoutSchema);
      case "network":
        return networkOf(site, id);
    }
  };
  return {
    usable: <K extends keyof NamedThings>(kind: K, id: string, noun: string) => {
      const thing = find(kind, id);
      if (!thing)
        throw new Refusal("not-found", `${noun} ${id.slice(0, 256)} is not known here`, { reason: "NOT_FOUND" });
      if (thing.meta?.deletionTaskId !== undefined)
        throw new Refusal("precondition", `${noun} ${id} is being deleted`, { reason: "BEING_DELETED" });
      return thing as unknown as NamedThings[K]; // found under the same kind
    },
    list: <K extends keyof typeof listed>(kind: K) => {
      const [name, schema]: readonly [string, DescMessage] = listed[kind];
      return ledger.list(name, schema) as unknown as NamedThings[K][]; // as above
    },
    imageConstraint: (size) => ledger.get("size-image-constraint", size, SizeImageConstraintSchema),
    placeOf(uuid) {
      const partition = desiredOf(site, uuid)?.partition;
      return partition === undefined ? undefined : { partition, size: site.observations.get(uuid)?.size ?? "" };
    },
  };
}
