import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** A real filesystem that can be filled. */
export class SmallFilesystem {
  readonly folder = mkdtempSync(path.join(tmpdir(), "holdfast-small-"));
  readonly #ballast = path.join(this.folder, "ballast");

  /** @throws when this process may not mount */
  constructor(mebibytes: number) {
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m,mode=0700`, "holdfast-small", this.folder], {
        stdio: "pipe",
      });
    } catch (error) {
      rmdirSync(this.folder);
      throw error;
    }
  }

  /** Until not one byte more goes in. */
  fill(): void {
    const file = openSync(this.#ballast, "a");
    for (const piece of [2 ** 20, 4_096, 1]) {
      try {
        for (;;) writeSync(file, new Uint8Array(piece));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      }
    }
    closeSync(file);
  }

  /** Room is made again. */
  clear(): void {
    rmSync(this.#ballast, { force: true });
  }

  remove(): void {
    execFileSync("umount", ["-l", this.folder]);
    rmdirSync(this.folder);
  }
}

/** @returns why a test that needs one is skipped; false when it is not */
export function cannotMount(): string | false {
  try {
    new SmallFilesystem(1).remove();
    return false;
  } catch (error) {
    return `a filesystem cannot be mounted here: ${(error as Error).message.trim()}`;
  }
}
