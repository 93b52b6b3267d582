import {
  ImageClassificationSchema,
  ImageFeatureSchema,
  ImageSchema,
  ImageService,
} from "#gen/metalstack/api/v2/image_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { ageText } from "../view/time.ts";
import { metaLabels, shown } from "./kind.ts";

export const kind = shown({
  schema: ImageSchema,
  columns: (nowMs) => [
    { title: "ID", of: (i) => i.id },
    { title: "NAME", of: (i) => i.name ?? "" },
    { title: "CLASSIFICATION", of: (i) => enumText(ImageClassificationSchema, i.classification) },
    { title: "FEATURES", of: (i) => i.features.map((f) => enumText(ImageFeatureSchema, f)).join(",") },
    { title: "URL", of: (i) => i.url, wide: true },
    { title: "LABELS", of: metaLabels, wide: true },
    { title: "AGE", of: (i) => ageText(i.meta?.createdAt, nowMs) },
  ],
  list: async (api) => (await api.client(ImageService).list({})).images,
  get: async (api, id) => (await api.client(ImageService).get({ id })).image,
});
