import { generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { systemClock } from "#lib/io/system-clock.ts";
import type { Command } from "../filesystems.ts";
import type { Server } from "../server.ts";
import { protectDisks, readStart, untilThere, wipeDisk, writeDisk } from "./disks.ts";
import { dropImage, fetchImage, imageDigest, memoryForImage, streamImage, unpackImage } from "./image.ts";
import { inventory, readSmbios } from "./inventory.ts";
import { runProgram, runPrograms } from "./programs.ts";
import { linkTarget, listTarget, readTarget, targetRoot, writeTarget } from "./target-root.ts";

const busybox = (...args: readonly string[]): Command => ({ program: "/bin/busybox", args });
const bootLoader = (name: string) => new Uint8Array(readFileSync(`/boot-loader/${name}`));

/** The machine that this process runs on. It erases disks: nothing but the initrd's main makes one. */
export function realServer(): Server {
  const mounted: string[] = [];
  return {
    machineUuid: () => readSmbios().uuid,
    inventory,
    wipe: wipeDisk,
    run: runPrograms,
    protect: protectDisks,
    readStart: (device, count) => (existsSync(device) ? readStart(device, count) : new Uint8Array(0)),
    untilThere,
    async makeFilesystems({ make, mounts }) {
      const places = mounts.map((m) => ({ ...m, full: path.join(targetRoot, m.path) }));
      const mount = places.flatMap(({ device, type, full }) => [
        busybox("mkdir", "-p", full),
        busybox("mount", "-t", type, "-o", "noatime", device, full),
      ]);
      mounted.push(...places.map(({ full }) => full));
      await runPrograms([...make, ...mount]);
    },
    async unmountAll() {
      await runPrograms(
        mounted
          .splice(0)
          .reverse()
          .map((at) => busybox("umount", at)),
      );
    },
    memoryForImage,
    fetchImage,
    imageDigest,
    unpackImage: (image, decompress) => unpackImage(image, decompress, targetRoot),
    dropImage,
    streamImage: (url) => streamImage(url, targetRoot),
    list: listTarget,
    read: readTarget,
    writeFiles: writeTarget,
    link: linkTarget,
    writeDisk,
    bootLoaderImages: () => ({
      boot: bootLoader("boot.img"),
      core: bootLoader("core.img"),
      efi: bootLoader("BOOTX64.EFI"),
    }),
    newHostKey,
    start,
  };
}

function newHostKey(): { seed: Uint8Array; publicKey: Uint8Array } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d, x } = privateKey.export({ format: "jwk" });
  return {
    seed: new Uint8Array(Buffer.from(d ?? "", "base64url")),
    publicKey: new Uint8Array(Buffer.from(x ?? "", "base64url")),
  };
}

async function start(how: "kexec" | "reboot"): Promise<never> {
  // The network is not taken down first: it belongs to the new kernel at once, and taking it down costs a second.
  if (how === "kexec") await runProgram({ program: "/sbin/kexec", args: ["-e", "-x"] }).catch(() => {});
  for (;;) {
    await runProgram(busybox("reboot", "-f")).catch(() => {});
    await systemClock.sleep(1_000);
  }
}
