import {
  type SizeConstraint,
  SizeConstraintType,
  SizeConstraintTypeSchema,
  SizeSchema,
  SizeService,
} from "#gen/metalstack/api/v2/size_pb.ts";
import { bytesText } from "../view/bytes.ts";
import { enumText } from "../view/enum-text.ts";
import { ageText } from "../view/time.ts";
import { metaLabels, shown } from "./kind.ts";

export const kind = shown({
  schema: SizeSchema,
  columns: (nowMs) => [
    { title: "ID", of: (s) => s.id },
    { title: "NAME", of: (s) => s.name ?? "" },
    { title: "CONSTRAINTS", of: (s) => s.constraints.map(constraintText).join(", ") },
    { title: "LABELS", of: metaLabels, wide: true },
    { title: "AGE", of: (s) => ageText(s.meta?.createdAt, nowMs) },
  ],
  list: async (api) => (await api.client(SizeService).list({})).sizes,
  get: async (api, id) => (await api.client(SizeService).get({ id })).size,
});

function constraintText(c: SizeConstraint): string {
  const isBytes = c.type === SizeConstraintType.MEMORY || c.type === SizeConstraintType.STORAGE;
  const amount = (n: bigint) => (isBytes ? bytesText(n) : `${n}`);
  const range = c.min === c.max ? amount(c.min) : `${amount(c.min)}–${amount(c.max)}`;
  return `${enumText(SizeConstraintTypeSchema, c.type)} ${range}${c.identifier ? ` of ${c.identifier}` : ""}`;
}
