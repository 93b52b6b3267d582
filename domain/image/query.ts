import type { Image, ImageQuery } from "#gen/metalstack/api/v2/image_pb.ts";
import { hasLabels } from "../meta.ts";
import { parseImageName } from "./version.ts";

export function imageMatches(image: Image, q: ImageQuery | undefined): boolean {
  if (q === undefined) return true;
  const name = parseImageName(image.id);
  const os = name.ok ? name.value.os : undefined;
  const version = name.ok ? name.value.version.join(".") : undefined;
  return (
    (q.id === undefined || image.id === q.id) &&
    (q.os === undefined || os === q.os) &&
    (q.version === undefined || version === q.version) &&
    (q.name === undefined || image.name === q.name) &&
    (q.description === undefined || image.description === q.description) &&
    (q.url === undefined || image.url === q.url) &&
    (q.feature === undefined || image.features.includes(q.feature)) &&
    (q.classification === undefined || image.classification === q.classification) &&
    hasLabels(image.meta, q.labels)
  );
}
