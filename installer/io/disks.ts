import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readSync, realpathSync, writeSync } from "node:fs";
import path from "node:path";
import { systemClock } from "#lib/io/system-clock.ts";
import type { DiskWrite } from "../boot-loader.ts";
import type { DiskFacts } from "../facts.ts";
import type { WipeMethod } from "../wipe.ts";
import { runProgram, runPrograms } from "./programs.ts";

/** Where partition tables, file system labels and the metadata of RAIDs lie. */
const endBytes = 16 * 2 ** 20;
const deviceWaitMs = 10_000;

export async function wipeDisk(disk: DiskFacts, method: WipeMethod): Promise<void> {
  const discard = (...args: readonly string[]) => ({ program: "/sbin/blkdiscard", args: ["-f", ...args, disk.device] });
  const size = Math.min(endBytes, disk.sizeBytes);
  const zeroed = (at: number) => discard("--zeroout", "--offset", `${at}`, "--length", `${size}`);
  const ends = [zeroed(0), zeroed(disk.sizeBytes - size)];
  const format = (erase: string) =>
    runProgram({ program: "/usr/sbin/nvme", args: ["format", disk.device, "-s", erase, "--force", "-t", "600000"] });
  switch (method) {
    case "nvme-format-crypto":
      return format("2");
    case "nvme-format":
      return format("1");
    case "secure-discard":
      await runPrograms([discard("--secure"), ...ends]);
      break;
    case "discard":
      await runPrograms([discard(), ...ends]);
      break;
    case "ends":
      await runPrograms(ends);
      break;
    case "overwrite":
      await runProgram(discard("--zeroout"));
  }
  // What the disk itself has only remembered is lost with its power.
  writeDisk(disk.device, []);
}

/** A disk's own mark says nothing to its partitions, which have marks of their own. @source Linux, block/ioctl.c (BLKROSET) */
export async function protectDisks(disks: readonly DiskFacts[]): Promise<void> {
  const devices = disks.flatMap(({ device }) => {
    const name = path.basename(realpathSync(device));
    const partitions = readdirSync(`/sys/class/block/${name}`).filter((entry) => entry.startsWith(name));
    return [name, ...partitions].map((entry) => `/dev/${entry}`);
  });
  await runPrograms(devices.map((device) => ({ program: "/bin/busybox", args: ["blockdev", "--setro", device] })));
}

export function writeDisk(device: string, writes: readonly DiskWrite[]): void {
  const fd = openSync(device, "r+");
  try {
    for (const { at, bytes } of writes) {
      let done = 0;
      while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The kernel makes them before it has done with reading a table; what else may be slow to appear is given a while. */
export async function untilThere(devices: readonly string[]): Promise<void> {
  const end = systemClock.monotonicMs() + deviceWaitMs;
  for (const device of devices) {
    while (!existsSync(device)) {
      if (systemClock.monotonicMs() > end)
        throw new Error(`${device} did not appear within ${deviceWaitMs / 1000} s after its disk was partitioned`);
      await systemClock.sleep(50);
    }
  }
}

export function readStart(file: string, count: number): Uint8Array {
  const fd = openSync(file, "r");
  try {
    const bytes = new Uint8Array(count);
    return bytes.subarray(0, readSync(fd, bytes, 0, count, 0));
  } finally {
    closeSync(fd);
  }
}
