import { type DescEnum, getOption, hasOption } from "@bufbuild/protobuf";
import type { GenEnum } from "@bufbuild/protobuf/codegenv2";
import { enum_string_value } from "#gen/metalstack/api/v2/common_pb.ts";

/** The word that the contract gives a value (`Phoned Home`), or its own name in lower case without the type's prefix. */
export function enumText(type: DescEnum, value: number): string {
  const found = type.value[value];
  if (!found) return `${value}`;
  if (hasOption(found, enum_string_value)) return getOption(found, enum_string_value);
  return value === 0 ? "" : (shortName(type, found.name) ?? found.name);
}

/** Value for a word as `enumText` writes it, in any case. */
export function enumValue<T extends number>(type: GenEnum<T>, text: string): T | undefined {
  const found = type.values.find(
    (v) => v.number !== 0 && enumText(type, v.number).toLowerCase() === text.toLowerCase(),
  );
  // The type's own values are all that its numbers can be.
  return found?.number as T | undefined;
}

/** All words of a type, for help texts and errors. */
export const enumWords = (type: DescEnum): string[] =>
  type.values.filter((v) => v.number !== 0).map((v) => enumText(type, v.number));

function shortName(type: DescEnum, name: string): string | undefined {
  const prefix = type.sharedPrefix?.toUpperCase();
  return prefix !== undefined && name.startsWith(prefix) ? name.slice(prefix.length).toLowerCase() : undefined;
}
