import { printable } from "./table.ts";

/** A name and what is known of it; without a name it goes on with the one before. */
export type Fact = readonly [name: string, value: string];

const nameWidth = 14;

/** One fact a line; what is unknown is left out. */
export const factsText = (facts: readonly Fact[]): string =>
  facts
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${(name === "" ? "" : `${name}:`).padEnd(nameWidth)}${printable(value)}\n`)
    .join("");
