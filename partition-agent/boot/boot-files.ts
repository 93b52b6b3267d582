// Kernel, initrd and images at hand in the partition: fetched once, served from here, also when their source is away.
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Seal } from "../image/ports.ts";

export interface CachedFile {
  /** Lower-case hex. */
  readonly sha256: string;
  readonly path: string;
  readonly sizeBytes: number;
}

/** The image cache, as far as boot needs it. */
export interface FileCache {
  ensure(wanted: { readonly url: string }, signal: AbortSignal): Promise<CachedFile>;
  /** Of a file that is here, proven to be of this SHA-256. */
  seal(sha256: string): Promise<Seal>;
  /** @returns undefined when it is not there any more */
  open(sha256: string): Promise<{ close(): Promise<void> } | undefined>;
}

interface Fetch {
  isRunning: boolean;
  /** Why the latest try failed that has ended. */
  error: string | undefined;
  /** Monotonic milliseconds before which a failed fetch is not tried again. */
  retryAtMs: number;
}

const retryMs = 5_000;
/** Failures that are remembered; the oldest are forgotten first. */
const failuresMax = 256;

export class BootFiles {
  readonly #cache: FileCache;
  readonly #baseUrl: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #signal: AbortSignal;
  readonly #here = new Map<string, CachedFile>();
  readonly #fetches = new Map<string, Fetch>();
  #boot: { readonly kernel: string; readonly initrd: string } | undefined;

  /** @param baseUrl of the agent, as machines reach it */
  constructor(cache: FileCache, baseUrl: string, clock: Clock, log: Log, signal: AbortSignal) {
    this.#cache = cache;
    this.#baseUrl = baseUrl;
    this.#clock = clock;
    this.#log = log;
    this.#signal = signal;
  }

  /** Names what the installer is booted from, and begins to fetch it. */
  useBoot(urls: { readonly kernel: string; readonly initrd: string } | undefined): void {
    this.#boot = urls;
    if (!urls) return;
    // Also when they are here: what was said anew may have new content under its old name.
    this.#fetch(urls.kernel);
    this.#fetch(urls.initrd);
  }

  /** @throws Refusal "unavailable" while they are not at hand, with the reason */
  async ready(): Promise<{ readonly kernel: CachedFile; readonly initrd: CachedFile }> {
    if (!this.#boot)
      throw new Refusal("unavailable", "the partition has no boot configuration yet: nothing has come from central");
    return { kernel: await this.#get(this.#boot.kernel), initrd: await this.#get(this.#boot.initrd) };
  }

  /** @throws Refusal "unavailable" while it is being fetched or cannot be, with the reason */
  image(url: string): Promise<CachedFile> {
    return this.#get(url);
  }

  /** What a server without SHA instructions checks faster than the SHA-256. */
  seal(file: CachedFile): Promise<Seal> {
    return this.#cache.seal(file.sha256);
  }

  /** Whether the content was at hand when it was last asked for. */
  isHere(url: string): boolean {
    return this.#here.has(url);
  }

  /** Why an image is not at hand; undefined when it is or nobody asked for it. */
  problem(url: string): string | undefined {
    return this.#fetches.get(url)?.error;
  }

  /** Whether the content must stay, because machines boot it or the images in use are it. @param images their URLs */
  isNeeded(sha256: string, images: Iterable<string>): boolean {
    for (const url of [this.#boot?.kernel, this.#boot?.initrd, ...images]) {
      if (url !== undefined && (this.#here.get(url)?.sha256 === sha256 || url.endsWith(`#sha256=${sha256}`)))
        return true;
    }
    return false;
  }

  url(file: CachedFile): string {
    return `${this.#baseUrl}/files/${file.sha256}`;
  }

  prefetch(url: string): void {
    const fetch = this.#fetches.get(url);
    if (this.#here.has(url) || (fetch && this.#clock.monotonicMs() < fetch.retryAtMs)) return;
    this.#fetch(url);
  }

  #fetch(url: string): void {
    const fetch = this.#fetches.get(url) ?? { isRunning: false, error: undefined, retryAtMs: 0 };
    if (fetch.isRunning) return;
    fetch.isRunning = true;
    this.#fetches.delete(url);
    this.#fetches.set(url, fetch);
    this.#forgetFailures();
    this.#cache.ensure({ url }, this.#signal).then(
      (file) => {
        this.#here.set(url, file);
        this.#fetches.delete(url);
        // Made now, because an installation should not wait for it; made again by whoever needs it when this fails.
        this.#cache.seal(file.sha256).catch(() => {});
      },
      (error: unknown) => {
        fetch.isRunning = false;
        const text = reasonOf(error);
        if (!this.#signal.aborted && text !== fetch.error)
          this.#log.warn("boot-file-not-fetched", { url, error: text });
        fetch.error = text;
        fetch.retryAtMs = this.#clock.monotonicMs() + retryMs;
      },
    );
  }

  #forgetFailures(): void {
    for (const [url, { isRunning }] of this.#fetches) {
      if (this.#fetches.size <= failuresMax) return;
      if (!isRunning) this.#fetches.delete(url);
    }
  }

  async #get(url: string): Promise<CachedFile> {
    const file = this.#here.get(url);
    if (file) {
      const open = await this.#cache.open(file.sha256);
      await open?.close();
      if (open) return file;
      this.#here.delete(url);
    }
    this.prefetch(url);
    throw new Refusal("unavailable", this.problem(url) ?? `${url} is being fetched`, { reason: "FILE_NOT_AT_HAND" });
  }
}
