import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Fetched, FetchRequest, ImageSource } from "../image/ports.ts";

export interface ImageSourceOptions {
  /** A source that sends nothing for so long is given up. */
  readonly stallMs?: number;
}

/** Images by http:, https: and file:. */
export function imageSource(options: ImageSourceOptions = {}): ImageSource {
  const stallMs = options.stallMs ?? 30_000;
  return {
    get: (request, signal) =>
      request.url.startsWith("file:") ? fromDisk(request, signal) : fromHttp(request, stallMs, signal),
  };
}

async function fromDisk({ url, offset, validator }: FetchRequest, signal: AbortSignal): Promise<Fetched | undefined> {
  const file = fileURLToPath(url);
  const stats = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (stats === undefined) return undefined;
  if (!stats.isFile()) throw new Error(`image ${url}: a file is wanted, and that is none`);
  const now = `${stats.size} ${stats.mtimeMs}`;
  const start = validator === now && offset <= stats.size ? offset : 0;
  return {
    offset: start,
    totalBytes: stats.size,
    validator: now,
    chunks: createReadStream(file, { start, highWaterMark: 1 << 20, signal }),
  };
}

/** Aborts when nothing happened for a while; `beat` says that something did. */
class Watch {
  readonly #controller = new AbortController();
  readonly #late: () => void;
  readonly #stallMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(url: string, stallMs: number) {
    this.#stallMs = stallMs;
    this.#late = () => this.#controller.abort(new Error(`image ${url}: its source sent nothing for ${stallMs} ms`));
    this.beat();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  beat(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#late, this.#stallMs).unref();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

async function fromHttp(request: FetchRequest, stallMs: number, signal: AbortSignal): Promise<Fetched | undefined> {
  const { url, offset, validator } = request;
  const watch = new Watch(url, stallMs);
  const stop = AbortSignal.any([signal, watch.signal]);
  // Any other encoding would be undone on the way, and lengths and ranges would not fit.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (offset > 0) {
    headers.range = `bytes=${offset}-`;
    if (validator !== undefined) headers["if-range"] = validator;
  }
  let response: Response;
  try {
    response = await fetch(url, { headers, signal: stop });
  } catch (error) {
    watch.end();
    throw explained(url, stop, error);
  }
  if (response.ok && response.body !== null) {
    // Reads from here on: of a response that nobody holds any more, fetch ends a body that has no reader, and says nothing.
    const chunks = watched(url, response.body.values(), watch, stop);
    return { ...bounds(url, response, offset), validator: validatorOf(response), chunks };
  }
  watch.end();
  await response.body?.cancel();
  if (response.status === 404 || response.status === 410) return undefined;
  if (response.status === 416 && response.headers.get("content-range") === `bytes */${offset}`)
    return { offset, totalBytes: offset, validator, chunks: nothing() };
  // The part is longer than the file now is: it is of another one.
  if (response.status === 416 && offset > 0) return fromHttp({ url, offset: 0, validator: undefined }, stallMs, signal);
  throw new Error(`image ${url}: its source answers ${response.status} ${response.statusText}`.trim());
}

/** The part was whole already. */
async function* nothing(): AsyncGenerator<Uint8Array> {}

function bounds(url: string, response: Response, offset: number): { offset: number; totalBytes: number | undefined } {
  if (response.status !== 206) return { offset: 0, totalBytes: wholeNumber(response.headers.get("content-length")) };
  const range = response.headers.get("content-range") ?? "";
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
  if (Number(first) !== offset) throw new Error(`image ${url}: bytes from ${offset} were asked for, ${range} came`);
  return { offset, totalBytes: wholeNumber(total) };
}

function wholeNumber(text: string | null | undefined): number | undefined {
  const value = Number(text ?? "");
  return text && /^\d+$/.test(text) && Number.isSafeInteger(value) ? value : undefined;
}

/** Weak tags do not promise the same bytes (RFC 9110 §13.1.5). */
function validatorOf(response: Response): string | undefined {
  const tag = response.headers.get("etag");
  if (tag !== null && !tag.startsWith("W/")) return tag;
  return response.headers.get("last-modified") ?? undefined;
}

async function* watched(
  url: string,
  body: AsyncIterable<Uint8Array>,
  watch: Watch,
  stop: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) {
      watch.beat();
      yield chunk;
      watch.beat();
    }
  } catch (error) {
    throw explained(url, stop, error);
  } finally {
    watch.end();
  }
}

function explained(url: string, stop: AbortSignal, error: unknown): unknown {
  if (stop.aborted) return stop.reason;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const text = cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause);
  return new Error(`image ${url}: its source cannot be read: ${text}`, { cause: error });
}
