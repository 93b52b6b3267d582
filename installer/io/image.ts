import { spawn } from "node:child_process";
import { createCipheriv, createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, rmSync, statSync } from "node:fs";
import { get } from "node:http";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type FetchedImage, type ImageProof, Unreachable } from "../server.ts";
import { readStart } from "./disks.ts";
import { runProgram } from "./programs.ts";

// Bulk data goes through as few hands as possible: on an emulated CPU every pipe between two processes costs more than
// what it carries, and JavaScript moves a tenth of what wget does.

const file = "/run/holdfast/image";
/** What the rest of an installation needs beside the image. */
const reserveBytes = 96 * 2 ** 20;
const chunkBytes = 4 * 2 ** 20;
const silenceMs = 10_000;

/** 4xx is the end; anything else may pass. */
function refusal(url: string, status: number): Error {
  const text = `${url} is answered with ${status}`;
  return status >= 400 && status < 500 && status !== 408 && status !== 429 ? new Error(text) : new Unreachable(text);
}

export function memoryForImage(): number {
  const kib = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"))?.[1];
  return Number(kib ?? 0) * 1024 - reserveBytes;
}

/** Goes on where the last try ended. The watch is ours: busybox's own time limit (-T) crashes it. */
export async function fetchImage(url: string): Promise<FetchedImage> {
  mkdirSync("/run/holdfast", { recursive: true });
  const silence = new AbortController();
  let last = -1;
  const watch = setInterval(() => {
    const size = existsSync(file) ? statSync(file).size : 0;
    if (size === last) silence.abort();
    last = size;
  }, silenceMs);
  try {
    await runProgram({ program: "/bin/busybox", args: ["wget", "-q", "-c", "-O", file, url] }, silence.signal);
  } catch (error) {
    throw new Unreachable(`${url}: ${error instanceof Error ? error.message : error}`, { cause: error });
  } finally {
    clearInterval(watch);
  }
  return { file, sizeBytes: statSync(file).size, head: readStart(file, 512) };
}

/** Reads in large pieces and lets others run in between. */
export async function imageDigest(image: FetchedImage, proof: ImageProof): Promise<string> {
  const hash = proof.kind === "sha256" ? sha256() : poly1305(proof.key);
  const chunk = new Uint8Array(chunkBytes);
  const fd = openSync(image.file, "r");
  try {
    for (let count = readSync(fd, chunk); count > 0; count = readSync(fd, chunk)) {
      hash.update(chunk.subarray(0, count));
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    closeSync(fd);
  }
  return hash.end();
}

function sha256() {
  const hash = createHash("sha256");
  return { update: (bytes: Uint8Array) => void hash.update(bytes), end: () => hash.digest("hex") };
}

function poly1305(key: Uint8Array) {
  const seal = createCipheriv("chacha20-poly1305", key, new Uint8Array(12), { authTagLength: 16 });
  return {
    update: (bytes: Uint8Array) => void seal.setAAD(bytes, { plaintextLength: 0 }),
    end: () => {
      seal.final();
      return seal.getAuthTag().toString("hex");
    },
  };
}

/** What a compressed image may grow to, for the choice below; a wrong guess ends in the slower way. */
const growth = 4;

export async function unpackImage(image: FetchedImage, decompress: boolean, root: string): Promise<void> {
  const untar = (file: string) => runProgram({ program: "/bin/busybox", args: ["tar", "-xpf", file, "-C", root] });
  if (!decompress) return untar(image.file);
  if (memoryForImage() > image.sizeBytes * growth) {
    const plain = `${image.file}.tar`;
    const isWhole = await runProgram({ program: "/usr/bin/zstd", args: ["-dqf", image.file, "-o", plain] }).then(
      () => true,
      () => false,
    );
    if (isWhole) await untar(plain);
    rmSync(plain, { force: true });
    if (isWhole) return;
  }
  const script = 'set -o pipefail; /usr/bin/zstd -dqc "$1" | busybox tar -xpf - -C "$2"';
  await runProgram({ program: "/bin/busybox", args: ["sh", "-c", script, "unpack", image.file, root] });
}

export function dropImage(image: FetchedImage): void {
  if (existsSync(image.file)) rmSync(image.file);
}

/** For an image larger than memory. zstd passes through what is not compressed. */
export async function streamImage(url: string, root: string): Promise<string> {
  const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
    get(url, { agent: false, timeout: silenceMs }, resolve).on("error", reject);
  });
  if (response.statusCode !== 200) throw refusal(url, response.statusCode ?? 0);
  const script = 'set -o pipefail; /usr/bin/zstd -dqcf | busybox tar -xpf - -C "$1"';
  const child = spawn("/bin/busybox", ["sh", "-c", script, "unpack", root], { stdio: ["pipe", "ignore", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const hash = createHash("sha256");
  const tap = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(response, tap, child.stdin);
  const code = await ended;
  if (code !== 0) throw new Error(`unpacking ${url} ended with ${code}`);
  return hash.digest("hex");
}
