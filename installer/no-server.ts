import type { Facts } from "./facts.ts";
import type { FetchedImage, Server } from "./server.ts";

/** `start` never comes back on a real server; on one that is none it ends the life with this. */
export class Started extends Error {
  readonly how: "kexec" | "reboot";

  constructor(how: "kexec" | "reboot") {
    super(how);
    this.how = how;
  }
}

const done = async () => {};

/** A server on which everything works and nothing happens. @param digest of every image */
export function noServer(facts: Facts, digest: string): Server {
  const head = new Uint8Array(512);
  head.set(new TextEncoder().encode("ustar"), 257);
  const image: FetchedImage = { file: "/run/image", sizeBytes: 1000, head };
  return {
    machineUuid: () => facts.smbios.uuid,
    inventory: async () => facts,
    wipe: done,
    run: done,
    protect: done,
    readStart: (_, count) => new Uint8Array(count),
    untilThere: done,
    makeFilesystems: done,
    unmountAll: done,
    memoryForImage: () => 1e9,
    fetchImage: async () => image,
    imageDigest: async () => digest,
    unpackImage: done,
    dropImage: () => {},
    streamImage: async () => digest,
    list: (path) => (path === "/" ? ["vmlinuz", "initrd.img"] : path === "/etc/ssh" ? ["sshd_config"] : []),
    read: () => "root:x:0:0::/root:/bin/sh\n",
    writeFiles: () => {},
    link: () => {},
    writeDisk: () => {},
    bootLoaderImages: () => ({ boot: new Uint8Array(512), core: new Uint8Array(2048), efi: new Uint8Array(4) }),
    newHostKey: () => ({ seed: new Uint8Array(32), publicKey: new Uint8Array(32) }),
    start: (how) => Promise.reject(new Started(how)),
  };
}
