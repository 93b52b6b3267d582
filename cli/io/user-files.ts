import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import type { Files } from "../cli.ts";

/** Files of the user who runs the program; settings in the place that the XDG base directory specification names. */
export function userFiles(env: Readonly<Record<string, string | undefined>>): Files {
  const folder = path.join(env.XDG_CONFIG_HOME || path.join(homedir(), ".config"), "holdfast");
  const settingsPath = path.join(folder, "config.yaml");
  return {
    settingsPath,
    read: (name) => (name === "-" ? text(process.stdin) : readFile(name, "utf8")),
    async readSettings() {
      try {
        return await readFile(settingsPath, "utf8");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    async writeSettings(content) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const fresh = `${settingsPath}.${process.pid}`;
      await writeFile(fresh, content, { mode: 0o600 });
      await chmod(fresh, 0o600);
      await rename(fresh, settingsPath);
    },
  };
}
