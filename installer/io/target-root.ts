import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import type { OsFile } from "../os-files.ts";

/** Where the new system is put together. */
export const targetRoot = "/mnt";

export function listTarget(name: string): readonly string[] {
  const full = path.join(targetRoot, name);
  return existsSync(full) ? readdirSync(full) : [];
}

export function readTarget(name: string): string {
  const full = path.join(targetRoot, name);
  return existsSync(full) ? readFileSync(full, "utf8") : "";
}

/** Each is made anew: a link in the image, such as /etc/resolv.conf, would lead out of the new system. */
export function writeTarget(files: readonly OsFile[]): void {
  const users = passwd();
  for (const { path: name, content, mode, owner } of files) {
    const full = path.join(targetRoot, name);
    const [uid, gid] = users.get(owner ?? "root") ?? [0, 0];
    makeFolder(path.dirname(full), { uid, gid, isPrivate: path.basename(path.dirname(full)) === ".ssh" });
    rmSync(full, { force: true });
    writeFileSync(full, content, { mode, flag: "wx" });
    if (uid !== 0) chownSync(full, uid, gid);
  }
}

export function linkTarget(name: string, target: string): void {
  const full = path.join(targetRoot, name);
  makeFolder(path.dirname(full), { uid: 0, gid: 0, isPrivate: false });
  if (lstatSync(full, { throwIfNoEntry: false }) === undefined) symlinkSync(target, full);
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
  readonly isPrivate: boolean;
}

function makeFolder(folder: string, owner: Owner): void {
  const first = mkdirSync(folder, { recursive: true, mode: owner.isPrivate ? 0o700 : 0o755 });
  const real = realpathSync(folder);
  if (real !== targetRoot && !real.startsWith(`${targetRoot}/`))
    throw new Error(`${folder} leads out of the new system, to ${real}`);
  if (first !== undefined && owner.uid !== 0) chownSync(folder, owner.uid, owner.gid);
}

/** User and group ids by name. @source passwd(5) */
function passwd(): Map<string, readonly [number, number]> {
  const lines = readTarget("/etc/passwd")
    .split("\n")
    .map((line) => line.split(":"));
  return new Map(lines.map((f) => [f[0] ?? "", [Number(f[2] ?? 0), Number(f[3] ?? 0)] as const]));
}
