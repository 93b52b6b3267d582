// The header by which a machine's creation asks for a name that no other machine of its project has.
import type { DescMethod } from "@bufbuild/protobuf";
import { Refusal } from "../refusal.ts";

/** Header of a request, with the value "true". */
export const uniqueNameHeader = "holdfast-unique-name";

/** @throws Refusal "invalid" for any value but "true" */
export function asksUniqueName(header: Headers): boolean {
  const text = header.get(uniqueNameHeader);
  if (text === null || text === "true") return text !== null;
  const why = `${uniqueNameHeader} is ${JSON.stringify(text)}, and wants to be true or to be left out`;
  throw new Refusal("invalid", why, { field: uniqueNameHeader, reason: "UNIQUE_NAME_INVALID" });
}

/** Ignored, it would be relied upon in vain. */
export const uniqueNameNotTaken = ({ parent, name }: DescMethod): Refusal =>
  new Refusal("invalid", `${parent.name}.${name} creates no machine, and takes no ${uniqueNameHeader}`, {
    reason: "UNIQUE_NAME_NOT_TAKEN",
  });
