import { create } from "@bufbuild/protobuf";
import { colliding, matchingLayouts } from "#domain/filesystem/match.ts";
import { badLayout } from "#domain/filesystem/rules.ts";
import { resolveImage } from "#domain/image/version.ts";
import { FilesystemService as AdminFilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import {
  type FilesystemLayout,
  FilesystemLayoutSchema,
  FilesystemService,
} from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { catalog, unknown, usable } from "../catalog/catalog.ts";
import { claimTurn } from "../catalog/claim.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

export function filesystemServices(ports: ServicePorts): Implementation[] {
  const layouts = catalog(ports, kinds.filesystemLayout, "filesystem layout");
  return [
    implement(FilesystemService, {
      get: ({ id }) => ({ filesystemLayout: layouts.get(id) }),
      list: ({ id }) => ({ filesystemLayouts: layouts.list((l) => id === undefined || l.id === id) }),
    }),
    implement(AdminFilesystemService, {
      async create({ filesystemLayout: layout = create(FilesystemLayoutSchema) }, context) {
        if (layout.id === "") throw new Refusal("invalid", "an id is wanted", { field: "filesystem_layout.id" });
        const made = await layouts
          .by(context)
          .create(layout.id, layout, layout.meta?.labels, (tx, filesystemLayout) => {
            check(tx, filesystemLayout);
            keepAnswer(context, tx, { filesystemLayout });
          });
        return { filesystemLayout: made };
      },
      update: async (request, context) => ({
        filesystemLayout: await layouts
          .by(context)
          .update(request.id, { updateMeta: request.updateMeta }, (draft, tx) => {
            if (request.name !== undefined) draft.name = request.name;
            if (request.description !== undefined) draft.description = request.description;
            if (request.filesystems.length > 0) draft.filesystems = request.filesystems;
            if (request.disks.length > 0) draft.disks = request.disks;
            if (request.raid.length > 0) draft.raid = request.raid;
            if (request.volumeGroups.length > 0) draft.volumeGroups = request.volumeGroups;
            if (request.logicalVolumes.length > 0) draft.logicalVolumes = request.logicalVolumes;
            if (request.constraints !== undefined) draft.constraints = request.constraints;
            check(tx, draft);
          }),
      }),
      delete: async ({ id }, context) => ({
        filesystemLayout: await layouts.by(context).remove(id, (tx) =>
          tx
            .list(kinds.machineDesired)
            .filter((m) => m.value.allocation?.filesystemLayout?.id === id)
            .map((m) => `machine ${m.id}`),
        ),
      }),
      match: ({ match }) => {
        switch (match.case) {
          case "sizeAndImage":
            return { filesystemLayout: bySizeAndImage(ports, match.value) };
          case "machineAndFilesystemlayout":
            return { filesystemLayout: byMachine(ports.state, match.value.machine, match.value.filesystemLayout) };
          default:
            throw new Refusal("invalid", "size and image, or machine and layout are wanted", { field: "match" });
        }
      },
    }),
  ];
}

function check(tx: Tx, layout: FilesystemLayout): void {
  const bad = badLayout(layout);
  if (bad !== undefined) throw new Refusal("invalid", bad, { field: "filesystem_layout" });
  for (const size of layout.constraints?.sizes ?? []) usable(tx, kinds.size, size, "size");
  claimTurn(tx, "filesystem-layouts");
  const others = tx.list(kinds.filesystemLayout).map((row) => row.value);
  const [other] = colliding(layout, others);
  if (other === undefined) return;
  throw new Refusal("exists", `layout ${layout.id} and layout ${other.id} are for the same size and image`, {
    reason: "LAYOUTS_COLLIDE",
    field: "filesystem_layout.constraints",
  });
}

function bySizeAndImage(
  { state, clock }: ServicePorts,
  { size, image: wanted }: { readonly size: string; readonly image: string },
): FilesystemLayout {
  if (state.get(kinds.size, size) === undefined) return unknown("size", size);
  const images = state.list(kinds.image).map((row) => row.value);
  const image = resolveImage(images, wanted, clock.wallMs()) ?? unknown("image", wanted);
  const layouts = state.list(kinds.filesystemLayout).map((row) => row.value);
  const [layout] = matchingLayouts(layouts, size, image.id);
  return layout ?? unknown("filesystem layout for size and image", `${size}, ${image.id}`);
}

/** Whether the machine has every disk that the layout partitions, and each is large enough. */
function byMachine(state: State, uuid: string, id: string): FilesystemLayout {
  const layout = state.get(kinds.filesystemLayout, id)?.value ?? unknown("filesystem layout", id);
  const machine = state.get(kinds.machineObserved, uuid)?.value ?? unknown("machine", uuid);
  for (const disk of layout.disks) {
    const found = machine.hardware?.disks.find((d) => d.name === disk.device);
    if (found === undefined) {
      throw new Refusal("precondition", `machine ${uuid} has no disk ${disk.device}`, { reason: "NO_SUCH_DISK" });
    }
    const wanted = disk.partitions.reduce((sum, p) => sum + p.size, 0n) << 20n;
    if (wanted > found.size) {
      const text = `disk ${disk.device} of machine ${uuid} has ${found.size} bytes; the layout wants ${wanted}`;
      throw new Refusal("precondition", text, { reason: "DISK_TOO_SMALL" });
    }
  }
  return layout;
}
