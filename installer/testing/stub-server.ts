import type { Command } from "../filesystems.ts";
import type { OsFile } from "../os-files.ts";
import type { FetchedImage, Server } from "../server.ts";
import { someFacts } from "./builders.ts";

/** `start` never comes back on a real server; here it ends the life with this. */
export class Started extends Error {
  readonly how: "kexec" | "reboot";

  constructor(how: "kexec" | "reboot") {
    super(how);
    this.how = how;
  }
}

/** A server that does nothing and writes down what it was asked to do, in order. */
export function stubServer(
  over: Partial<Server> = {},
  digest = "a".repeat(64),
): { readonly server: Server; readonly did: string[]; readonly files: Map<string, OsFile> } {
  const did: string[] = [];
  const files = new Map<string, OsFile>();
  const head = new Uint8Array(512);
  head.set(new TextEncoder().encode("ustar"), 257);
  const image: FetchedImage = { file: "/run/image", sizeBytes: 1000, head };
  const server: Server = {
    machineUuid: () => someFacts().smbios.uuid,
    inventory: async () => someFacts(),
    wipe: async (disk, method) => void did.push(`wipe ${disk.device} ${method}`),
    run: async (commands: readonly Command[]) => void did.push(...commands.map((c) => c.program)),
    untilThere: async (devices) => void did.push(...devices.map((device) => `await ${device}`)),
    makeFilesystems: async ({ make, mounts }) =>
      void did.push(...make.map((c) => c.program), ...mounts.map((m) => `mount ${m.device} ${m.path}`)),
    unmountAll: async () => void did.push("unmount"),
    memoryForImage: () => 1e9,
    fetchImage: async () => image,
    imageDigest: async () => digest,
    unpackImage: async () => void did.push("unpack"),
    dropImage: () => void did.push("drop image"),
    streamImage: async () => digest,
    list: (path) => (path === "/" ? ["vmlinuz", "initrd.img"] : path === "/etc/ssh" ? ["sshd_config"] : []),
    read: () => "root:x:0:0::/root:/bin/sh\n",
    writeFiles: (all) => all.forEach((f) => void files.set(f.path, f)),
    link: () => {},
    writeDisk: (device) => void did.push(`boot loader ${device}`),
    bootLoaderImages: () => ({ boot: new Uint8Array(512), core: new Uint8Array(2048), efi: new Uint8Array(4) }),
    newHostKey: () => ({ seed: new Uint8Array(32), publicKey: new Uint8Array(32) }),
    start: async (how) => {
      did.push(how);
      throw new Started(how);
    },
    ...over,
  };
  return { server, did, files };
}
