// Kernel, initrd and images at hand in the partition: fetched once, served from here, also when their source is away.
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";

export interface CachedFile {
  /** Lower-case hex. */
  readonly sha256: string;
  readonly path: string;
  readonly sizeBytes: number;
}

/** The image cache, as far as boot needs it. */
export interface FileCache {
  ensure(wanted: { readonly url: string }, signal: AbortSignal): Promise<CachedFile>;
}

interface Fetch {
  state: "running" | "failed";
  error: string;
  /** Monotonic milliseconds before which a failed fetch is not tried again. */
  retryAtMs: number;
}

const retryMs = 5_000;

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
    this.prefetch(urls.kernel);
    this.prefetch(urls.initrd);
  }

  /** @throws Refusal "unavailable" while they are not at hand, with the reason */
  ready(): { readonly kernel: CachedFile; readonly initrd: CachedFile } {
    if (!this.#boot)
      throw new Refusal("unavailable", "the partition has no boot configuration yet: nothing has come from central");
    return { kernel: this.#get(this.#boot.kernel), initrd: this.#get(this.#boot.initrd) };
  }

  /** @throws Refusal "unavailable" while it is being fetched or cannot be, with the reason */
  image(url: string): CachedFile {
    return this.#get(url);
  }

  /** Why an image is not at hand; undefined when it is or nobody asked for it. */
  problem(url: string): string | undefined {
    const fetch = this.#fetches.get(url);
    return fetch?.state === "failed" ? fetch.error : undefined;
  }

  url(file: CachedFile): string {
    return `${this.#baseUrl}/files/${file.sha256}`;
  }

  path(sha256: string): string | undefined {
    for (const file of this.#here.values()) if (file.sha256 === sha256) return file.path;
    return undefined;
  }

  prefetch(url: string): void {
    const fetch = this.#fetches.get(url);
    if (this.#here.has(url) || fetch?.state === "running") return;
    if (fetch && this.#clock.monotonicMs() < fetch.retryAtMs) return;
    const running: Fetch = { state: "running", error: "", retryAtMs: 0 };
    this.#fetches.set(url, running);
    this.#cache.ensure({ url }, this.#signal).then(
      (file) => {
        this.#here.set(url, file);
        this.#fetches.delete(url);
      },
      (error: unknown) => {
        running.state = "failed";
        running.error = error instanceof Error ? error.message : String(error);
        running.retryAtMs = this.#clock.monotonicMs() + retryMs;
        if (!this.#signal.aborted) this.#log.warn("boot-file-not-fetched", { url, error: running.error });
      },
    );
  }

  #get(url: string): CachedFile {
    const file = this.#here.get(url);
    if (file) return file;
    const former = this.problem(url);
    this.prefetch(url);
    if (former !== undefined) throw new Refusal("unavailable", former, { reason: "FILE_NOT_AT_HAND" });
    throw new Refusal("unavailable", `${url} is being fetched`, { reason: "FILE_NOT_AT_HAND" });
  }
}
