import { FilesystemLayoutSchema, FilesystemService } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ageText } from "../view/time.ts";
import { metaLabels, shown } from "./kind.ts";

export const kind = shown({
  schema: FilesystemLayoutSchema,
  columns: (nowMs) => [
    { title: "ID", of: (l) => l.id },
    { title: "NAME", of: (l) => l.name ?? "" },
    { title: "DISKS", of: (l) => l.disks.map((d) => d.device).join(",") },
    { title: "FILESYSTEMS", of: (l) => l.filesystems.map((f) => f.path ?? f.label ?? f.device).join(",") },
    { title: "SIZES", of: (l) => l.constraints?.sizes.join(",") ?? "" },
    {
      title: "IMAGES",
      of: (l) =>
        Object.entries(l.constraints?.images ?? {})
          .flat()
          .join(" "),
      wide: true,
    },
    { title: "LABELS", of: metaLabels, wide: true },
    { title: "AGE", of: (l) => ageText(l.meta?.createdAt, nowMs) },
  ],
  list: async (api) => (await api.client(FilesystemService).list({})).filesystemLayouts,
  get: async (api, id) => (await api.client(FilesystemService).get({ id })).filesystemLayout,
});
