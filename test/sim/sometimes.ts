import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

const top = path.resolve(import.meta.dirname, "../..");
const parts = ["central", "partition-agent", "lib", "domain", "pxe-boot"];

/**
 * Every mark in production paths: the name of what happens there sometimes, in `sometimes(log, "NAME")`. A set of seeds that
 * never comes by one of them does not try what it is there for.
 */
export const marksInSource = (): readonly string[] =>
  parts.flatMap((part) => [...sources(path.join(top, part))].flatMap(marksOf)).sort();

function* sources(folder: string): Iterable<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(full);
    else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts")) yield full;
  }
}

const marksOf = (file: string): readonly string[] =>
  [...readFileSync(file, "utf8").matchAll(/\bsometimes\(\s*[\w.#]+,\s*"([^"]+)"/g)].map((m) => m[1] as string);
