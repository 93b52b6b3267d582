// Everything that is made from proto/: the validation schema that proto/ imports, the formatting, and gen/. Works offline.
//   npm run gen                 formats and lints proto/, writes what changed
//   npm run gen -- --check      changes nothing; fails and names each file that is not what proto/ says
//   npm run gen -- --baseline   also takes today's public contract as the one that must not be broken
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { printProto } from "./print-proto.ts";

const root = path.resolve(import.meta.dirname, "..");
const bin = path.join(root, "node_modules", ".bin");
const baseline = "test/contract/baseline.binpb";
const known = new Set(["--check", "--baseline"]);

function buf(cwd: string, ...args: string[]): void {
  const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH ?? ""}` };
  execFileSync(path.join(bin, "buf"), args, { cwd, env, stdio: "inherit" });
}

/** Path → content of every file below `folder`; empty when there is no such folder. */
function contents(folder: string): Map<string, string> {
  if (!existsSync(folder)) return new Map();
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const full = path.join(entry.parentPath, entry.name);
      return [path.relative(folder, full), readFileSync(full, "utf8")];
    }),
  );
}

/** Makes proto/ and gen/ as they should be, in a folder of its own, so that nobody ever sees half of it. */
function makeIn(work: string): void {
  for (const name of ["proto", "buf.yaml", "buf.gen.yaml"]) {
    cpSync(path.join(root, name), path.join(work, name), { recursive: true });
  }
  mkdirSync(path.join(work, "proto/buf/validate"), { recursive: true });
  const note =
    "Printed by scripts/gen.ts from the descriptor inside the npm package @bufbuild/protovalidate; do not edit.";
  writeFileSync(
    path.join(work, "proto/buf/validate/validate.proto"),
    printProto(file_buf_validate_validate.proto, note),
  );
  buf(work, "format", "-w");
  buf(work, "lint");
  buf(work, "generate");
}

/** Files below `part` that differ between the two trees, missing ones included. */
function differing(work: string, part: string): string[] {
  const wanted = contents(path.join(work, part));
  const present = contents(path.join(root, part));
  const all = [...new Set([...wanted.keys(), ...present.keys()])].sort();
  return all.filter((file) => wanted.get(file) !== present.get(file)).map((file) => path.join(part, file));
}

function bring(work: string, file: string): void {
  if (!existsSync(path.join(work, file))) {
    rmSync(path.join(root, file));
  } else {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    cpSync(path.join(work, file), path.join(root, file));
  }
}

function main(args: readonly string[]): number {
  const unknown = args.find((arg) => !known.has(arg));
  if (unknown !== undefined) {
    console.error(`gen: unknown argument ${unknown}; known are ${[...known].join(", ")}`);
    return 2;
  }
  mkdirSync(path.join(root, ".cache"), { recursive: true });
  const work = mkdtempSync(path.join(root, ".cache", "gen-"));
  try {
    makeIn(work);
    const files = [...differing(work, "proto"), ...differing(work, "gen")];
    if (args.includes("--check")) {
      for (const file of files) console.error(`gen: ${file} is not what proto/ says; run: npm run gen`);
      console.log(`gen: ${files.length} differences`);
      return files.length === 0 ? 0 : 1;
    }
    for (const file of files) bring(work, file);
    console.log(`gen: ${files.length} files written`);
    if (args.includes("--baseline")) {
      buf(root, "build", "--exclude-source-info", "--path", "proto/metalstack", "-o", baseline);
    }
    return 0;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

process.exitCode = main(process.argv.slice(2));
