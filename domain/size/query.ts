import type { Size, SizeQuery } from "#gen/metalstack/api/v2/size_pb.ts";
import { hasLabels } from "../meta.ts";

export const sizeMatches = (size: Size, q: SizeQuery | undefined): boolean =>
  q === undefined ||
  ((q.id === undefined || size.id === q.id) &&
    (q.name === undefined || size.name === q.name) &&
    (q.description === undefined || size.description === q.description) &&
    hasLabels(size.meta, q.labels));
