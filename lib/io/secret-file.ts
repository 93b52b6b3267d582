import { chmod, mkdir, open, readFile, rename } from "node:fs/promises";
import path from "node:path";
import type { SecretFile } from "../secret-file.ts";

/** A file that only its owner may read (mode 0600). Written beside and moved into place, so that nobody reads half of it. */
export const secretFile = (at: string): SecretFile => ({
  path: at,
  async read() {
    try {
      return await readFile(at, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  },
  async write(text) {
    await mkdir(path.dirname(at), { recursive: true, mode: 0o700 });
    const beside = `${at}.new`;
    const file = await open(beside, "w", 0o600);
    try {
      // A file of that name that was there before keeps its mode otherwise.
      await chmod(beside, 0o600);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, at);
  },
});
