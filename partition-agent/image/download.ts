import { fail, ok, type Result } from "#lib/result.ts";
import { parseSidecar, sidecarUrl } from "./digest.ts";
import type { Fetched, ImageSource, Part } from "./ports.ts";

export interface Progress {
  readonly receivedBytes: number;
  /** Absent when the source does not say. */
  readonly totalBytes: number | undefined;
}

export interface Download {
  readonly url: string;
  /** What the content must have; undefined: whatever comes. */
  readonly sha256: string | undefined;
  /** Makes room for a file of so many bytes in all. @throws when there is none */
  readonly makeRoom: (totalBytes: number) => Promise<void>;
  readonly onProgress: (progress: Progress) => void;
}

/** The content is not what was promised. It was thrown away. */
export class DigestMismatch extends Error {
  readonly actual: string;
  readonly promised: string;

  constructor(url: string, digests: { readonly actual: string; readonly promised: string }) {
    super(`image ${url}: sha256 is ${digests.actual}, ${digests.promised} was promised`);
    this.name = "DigestMismatch";
    this.actual = digests.actual;
    this.promised = digests.promised;
  }
}

/** Room is made in steps of so many bytes when a source does not say how much will come. */
const stepBytes = 64 << 20;

/**
 * Completes `part` from the source, from where it stands, and makes it an object.
 * @throws DigestMismatch; else what went wrong, and the part is kept for the next try
 */
export async function download(
  source: ImageSource,
  part: Part,
  job: Download,
  signal: AbortSignal,
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  // Without a digest and without a word of the source's there is no telling what a part is a part of.
  if (part.validator === undefined && job.sha256 === undefined) await part.restart(undefined);
  const request = { url: job.url, offset: part.sizeBytes, validator: part.validator };
  const fetched = await source.get(request, signal);
  if (fetched === undefined) throw new Error(`image ${job.url}: its source has no such file`);
  if (fetched.offset !== part.sizeBytes || part.sizeBytes === 0) await part.restart(fetched.validator);
  await receive(fetched, part, job);
  const sha256 = await part.digest();
  if (job.sha256 !== undefined && sha256 !== job.sha256) {
    await part.restart(undefined);
    throw new DigestMismatch(job.url, { actual: sha256, promised: job.sha256 });
  }
  const { sizeBytes } = part;
  await part.commit(sha256);
  return { sha256, sizeBytes };
}

async function receive(fetched: Fetched, part: Part, job: Download): Promise<void> {
  const { totalBytes } = fetched;
  let roomBytes = totalBytes ?? part.sizeBytes + stepBytes;
  await job.makeRoom(roomBytes);
  for await (const chunk of fetched.chunks) {
    const receivedBytes = part.sizeBytes + chunk.length;
    if (totalBytes !== undefined && receivedBytes > totalBytes)
      throw new Error(`image ${job.url}: ${receivedBytes} bytes came, ${totalBytes} were announced`);
    if (receivedBytes > roomBytes) {
      roomBytes = receivedBytes + stepBytes;
      await job.makeRoom(roomBytes);
    }
    await part.append(chunk);
    job.onProgress({ receivedBytes, totalBytes });
  }
  if (totalBytes !== undefined && part.sizeBytes < totalBytes)
    throw new Error(`image ${job.url}: ended after ${part.sizeBytes} of ${totalBytes} bytes`);
}

/** Nobody needs more to find the first word. */
const sidecarBytesMax = 64 << 10;

/** What the source says about its own file, in a file beside it. An error: that file is there and cannot be used. */
export async function promisedDigest(
  source: ImageSource,
  url: string,
  signal: AbortSignal,
): Promise<Result<string | undefined>> {
  const at = sidecarUrl(url);
  const fetched = await source.get({ url: at, offset: 0, validator: undefined }, signal);
  if (fetched === undefined) return ok(undefined);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of fetched.chunks) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > sidecarBytesMax) break;
  }
  const sha256 = parseSidecar(text);
  return sha256.ok ? sha256 : fail(`image ${url}: ${at}: ${sha256.error}`);
}
