import type { DiskWrite } from "./boot-loader.ts";
import type { DiskFacts, Facts } from "./facts.ts";
import type { Command, FilesystemPlan } from "./filesystems.ts";
import type { OsFile } from "./os-files.ts";
import type { WipeMethod } from "./wipe.ts";

/** What the image must be: a digest that everybody has, or a seal that the agent made of what it had checked. */
export type ImageProof =
  | { readonly kind: "sha256" }
  /** ChaCha20-Poly1305 over additional data alone, nonce zero (RFC 8439 §2.8). @see Seal of the agent's image cache */
  | { readonly kind: "poly1305"; readonly key: Uint8Array };

/** What the installer does to the server it runs on. One implementation acts (io/real-server.ts); tests bring their own. */
export interface Server {
  /** SMBIOS; empty when the firmware has none. */
  machineUuid(): string;
  inventory(): Promise<Facts>;
  /** Makes the disk's former content unreadable by this one way, or throws. */
  wipe(disk: DiskFacts, method: WipeMethod): Promise<void>;
  /** Runs one after the other; throws at the first that fails, with its name and what it complained of. */
  run(commands: readonly Command[]): Promise<void>;
  /** Makes the kernel refuse every write to these disks and their partitions, until the next boot. */
  protect(disks: readonly DiskFacts[]): Promise<void>;
  /** The first bytes of a disk or a partition; fewer when it has not as many, none when it is not there. */
  readStart(device: string, count: number): Uint8Array;
  /** Waits for devices of new partitions. */
  untilThere(devices: readonly string[]): Promise<void>;
  /** Runs the programs that make them, and mounts them below the place where the new system is put together. */
  makeFilesystems(plan: Pick<FilesystemPlan, "make" | "mounts">): Promise<void>;
  unmountAll(): Promise<void>;
  /** Memory that may be used for an image, in bytes. */
  memoryForImage(): number;
  /** One try, going on where the last one ended. Throws `Unreachable` when it may work later. */
  fetchImage(url: string): Promise<FetchedImage>;
  /** Digest or tag of a fetched image, lower-case hex. */
  imageDigest(image: FetchedImage, proof: ImageProof): Promise<string>;
  /** Unpacks a fetched image and frees its memory; `digested` is awaited before the freeing. */
  unpackImage(image: FetchedImage, decompress: boolean): Promise<void>;
  dropImage(image: FetchedImage): void;
  /** Fetches and unpacks at once, without room for the whole; resolves to the digest. */
  streamImage(url: string): Promise<string>;
  /** Names in a folder of the new system; empty when it is not there. */
  list(path: string): readonly string[];
  /** Text of a file of the new system; empty when it is not there. */
  read(path: string): string;
  writeFiles(files: readonly OsFile[]): void;
  link(path: string, target: string): void;
  writeDisk(device: string, writes: readonly DiskWrite[]): void;
  bootLoaderImages(): { readonly boot: Uint8Array; readonly core: Uint8Array; readonly efi: Uint8Array };
  newHostKey(): { readonly seed: Uint8Array; readonly publicKey: Uint8Array };
  /** Does not come back. */
  start(how: "kexec" | "reboot"): Promise<never>;
}

export interface FetchedImage {
  readonly file: string;
  readonly sizeBytes: number;
  /** The first 512 bytes. */
  readonly head: Uint8Array;
}

/** The other side is not there now; trying again is right. */
export class Unreachable extends Error {}
