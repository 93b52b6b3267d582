import { existsSync, lstatSync, readFileSync, readlinkSync } from "node:fs";
import path from "node:path";
import type { Node } from "./cpio.ts";
import { isElf, stripped, wantedByProgram } from "./elf.ts";

const libraryFolders = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib", "lib64"];

/**
 * Programs with the loader and every library that they want, taken from unpacked packages.
 * @param root folder of the unpacked packages
 * @param programs paths in it, such as usr/sbin/sfdisk; a link is followed and kept
 */
export function programTree(root: string, programs: readonly string[]): Map<string, Node> {
  const tree = new Map<string, Node>();
  for (const program of programs) addProgram(root, program, tree);
  return tree;
}

/** A program from elsewhere (node), without its symbols, under its new path, with its libraries from the packages. */
export function foreignProgram(root: string, file: string, target: string): Map<string, Node> {
  const tree = new Map<string, Node>();
  const content = stripped(new Uint8Array(readFileSync(file)));
  if (!content.ok) throw new Error(`${file}: ${content.error}`);
  tree.set(target, { kind: "file", mode: 0o755, content: content.value });
  addLibraries(root, file, content.value, tree);
  return tree;
}

function addProgram(root: string, program: string, tree: Map<string, Node>): void {
  const full = path.join(root, program);
  if (!existsSync(full)) throw new Error(`${program} is in none of the packages`);
  if (lstatSync(full).isSymbolicLink()) {
    const target = path.join(path.dirname(program), readlinkSync(full));
    tree.set(program, { kind: "link", target: `/${target}` });
    addProgram(root, target, tree);
  } else {
    addFile(root, program, program, tree);
  }
}

function addFile(root: string, from: string, to: string, tree: Map<string, Node>): void {
  if (tree.has(to)) return;
  const content = new Uint8Array(readFileSync(path.join(root, from)));
  tree.set(to, { kind: "file", mode: 0o755, content });
  if (isElf(content)) addLibraries(root, from, content, tree);
}

function addLibraries(root: string, asker: string, content: Uint8Array, tree: Map<string, Node>): void {
  const wanted = wantedByProgram(content);
  if (!wanted.ok) throw new Error(`${asker}: ${wanted.error}`);
  const names = wanted.value.libraries.filter((name) => !name.startsWith("ld-linux"));
  for (const name of names) {
    const found = libraryFolders.map((f) => path.join(f, name)).find((f) => existsSync(path.join(root, f)));
    if (found === undefined) throw new Error(`${asker} wants ${name}, which is in none of the packages`);
    // One folder for all: the loader looks there first, and finding costs time at every start.
    addFile(root, found, `lib/x86_64-linux-gnu/${name}`, tree);
  }
  const loader = wanted.value.interpreter.slice(1);
  if (loader !== "") addFile(root, "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", loader, tree);
}
