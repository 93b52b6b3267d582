import type { Command } from "../filesystems.ts";
import { noServer, Started } from "../no-server.ts";
import type { OsFile } from "../os-files.ts";
import type { Server } from "../server.ts";
import { someFacts } from "./builders.ts";

/** A server that does nothing and writes down what it was asked to do, in order. */
export function stubServer(
  over: Partial<Server> = {},
  digest = "a".repeat(64),
): { readonly server: Server; readonly did: string[]; readonly files: Map<string, OsFile> } {
  const did: string[] = [];
  const files = new Map<string, OsFile>();
  const server: Server = {
    ...noServer(someFacts(), digest),
    wipe: async (disk, method) => void did.push(`wipe ${disk.device} ${method}`),
    run: async (commands: readonly Command[]) => void did.push(...commands.map((c) => c.program)),
    protect: async (disks) => void did.push(...disks.map((d) => `protect ${d.device}`)),
    untilThere: async (devices) => void did.push(...devices.map((device) => `await ${device}`)),
    makeFilesystems: async ({ make, mounts }) =>
      void did.push(...make.map((c) => c.program), ...mounts.map((m) => `mount ${m.device} ${m.path}`)),
    unmountAll: async () => void did.push("unmount"),
    unpackImage: async () => void did.push("unpack"),
    dropImage: () => void did.push("drop image"),
    writeFiles: (all) => all.forEach((f) => void files.set(f.path, f)),
    writeDisk: (device) => void did.push(`boot loader ${device}`),
    start: async (how) => {
      did.push(how);
      throw new Started(how);
    },
    ...over,
  };
  return { server, did, files };
}
