import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { stringify } from "yaml";
import { type Column, table } from "./table.ts";

export const outputs = ["table", "wide", "json", "yaml"] as const;
export type Output = (typeof outputs)[number];

/** The form is meant for people, not for programs. */
export const isForPeople = (output: Output): boolean => output === "table" || output === "wide";

/** JSON as the contract maps it, with a line break at the end. Fields that are not set are left out. */
export const jsonText = (value: JsonValue): string => `${JSON.stringify(value, null, 2)}\n`;

const yamlText = (value: JsonValue): string => stringify(value, { lineWidth: 0 });

/** Several things of one kind. */
export function listText<D extends DescMessage>(
  schema: D,
  columns: readonly Column<MessageShape<D>>[],
  rows: readonly MessageShape<D>[],
  output: Output,
): string {
  if (output === "table") return table(rows, columns, "narrow");
  if (output === "wide") return table(rows, columns, "wide");
  const json = rows.map((row) => toJson(schema, row));
  return output === "json" ? jsonText(json) : yamlText(json);
}

/** One thing, as people read it or in full. @param forPeople makes the text for people */
export const shownText = <D extends DescMessage>(
  schema: D,
  value: MessageShape<D>,
  output: Output,
  forPeople: () => string,
): string => (isForPeople(output) ? forPeople() : oneText(schema, value, output));

/** One thing, in full. There is no table of one: `table` means the readable form, which is YAML. */
export function oneText<D extends DescMessage>(schema: D, value: MessageShape<D>, output: Output): string {
  const json = toJson(schema, value);
  return output === "json" ? jsonText(json) : yamlText(json);
}
