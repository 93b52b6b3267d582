// Images by their SHA-256: fetched once, verified before anybody sees them, kept within a limit, there after a restart.
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import type { FileSource, OpenFile } from "#pxe-boot/files/file-source.ts";
import { parseImageUrl, parseSha256 } from "./digest.ts";
import { DigestMismatch, download, type Progress, promisedDigest } from "./download.ts";
import { ImageInventory } from "./image-inventory.ts";
import type { HashText, ImageFolder, ImageSource, Seal } from "./ports.ts";

export interface CachedImage {
  /** Of the file on this host. */
  readonly path: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface WantedImage {
  /** http:, https: or file:; `#sha256=HEX` at its end names the digest. */
  readonly url: string;
  /** Where the URL does not name it. */
  readonly sha256?: string;
  readonly onProgress?: (progress: Progress) => void;
}

export interface ImageCachePorts {
  readonly folder: ImageFolder;
  readonly source: ImageSource;
  readonly hashText: HashText;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ImageCacheOptions {
  /** Of all images and parts together. */
  readonly bytesMax: number;
  /** Downloads at a time; one more is refused. */
  readonly downloadsMax?: number;
  /** Images that must stay, beside those that are open. */
  readonly isNeeded?: (sha256: string) => boolean;
}

interface Running {
  readonly done: Promise<CachedImage>;
  readonly stop: AbortController;
  readonly listeners: Set<(progress: Progress) => void>;
  waiters: number;
}

const downloadsMaxUsual = 8;

/** As a FileSource: files by their SHA-256, for serving. */
export class ImageCache implements FileSource {
  readonly #ports: ImageCachePorts;
  readonly #options: ImageCacheOptions;
  readonly #inventory: ImageInventory;
  readonly #running = new Map<string, Running>();
  readonly #seals = new Map<string, Promise<Seal>>();

  private constructor(ports: ImageCachePorts, options: ImageCacheOptions, inventory: ImageInventory) {
    this.#ports = ports;
    this.#options = options;
    this.#inventory = inventory;
  }

  /** Takes over what lies in the folder: sizes are checked now, digests when an image is first used. */
  static async load(ports: ImageCachePorts, options: ImageCacheOptions): Promise<ImageCache> {
    const { bytesMax, isNeeded = () => false } = options;
    return new ImageCache(ports, options, await ImageInventory.load(ports, { bytesMax, isNeeded }));
  }

  /**
   * The image, from here or else from its source. Asked for twice at a time, it is fetched once. What is here is given
   * without asking anybody when its digest is known by name, and when its source cannot be reached.
   * @throws Refusal "invalid" for a bad URL, "exhausted" when too many downloads run; DigestMismatch; else the source's
   *   own trouble. Trying again is the caller's business: what was received is kept.
   */
  async ensure(wanted: WantedImage, signal: AbortSignal): Promise<CachedImage> {
    const { url, sha256 } = target(wanted);
    if (sha256 !== undefined) {
      const image = await this.#inventory.verified(sha256);
      if (image) return image;
    }
    signal.throwIfAborted();
    return this.#join(`${url} ${sha256 ?? ""}`, wanted, signal, (running) =>
      sha256 === undefined ? this.#discover(url, running) : this.#fetch(url, sha256, running),
    );
  }

  /**
   * What a server proves a cached image with faster than by its digest, made in the reading that proves the SHA-256 again.
   * @throws DigestMismatch when what lies here is not that image any more
   */
  async seal(sha256: string): Promise<Seal> {
    const known = this.#seals.get(sha256) ?? this.#sealNow(sha256);
    this.#seals.set(sha256, known);
    known.catch(() => this.#seals.delete(sha256));
    return await known;
  }

  async #sealNow(sha256: string): Promise<Seal> {
    const found = await this.#ports.folder.seal(sha256);
    if (found.sha256 !== sha256)
      throw new DigestMismatch(`${sha256} in the cache`, { actual: found.sha256, promised: sha256 });
    return found.seal;
  }

  /** @param name SHA-256 in hex */
  async open(name: string): Promise<OpenFile | undefined> {
    const sha256 = parseSha256(name);
    return sha256 === undefined ? undefined : this.#inventory.open(sha256);
  }

  /** An image whose digest nobody named: what the source promises, else what it had the first time. */
  async #discover(url: string, running: Running): Promise<CachedImage> {
    const known = this.#inventory.digestOf(url);
    const sha256 = (await this.#promised(url, running)) ?? known;
    const image =
      (sha256 === undefined ? undefined : await this.#inventory.verified(sha256)) ??
      (await this.#fetch(url, sha256, running));
    if (sha256 === undefined) this.#ports.log.warn("image-trusted-on-first-use", { url, sha256: image.sha256 });
    await this.#inventory.learn(url, image.sha256);
    return image;
  }

  /** What the source says now; undefined when it says nothing, or cannot be asked and the image is here. */
  async #promised(url: string, running: Running): Promise<string | undefined> {
    const { source, log } = this.#ports;
    try {
      const promised = await promisedDigest(source, url, running.stop.signal);
      if (!promised.ok) throw new Error(promised.error);
      return promised.value;
    } catch (error) {
      const known = this.#inventory.digestOf(url);
      const here = known === undefined ? undefined : await this.#inventory.verified(known);
      if (here === undefined || running.stop.signal.aborted) throw error;
      log.warn("image-source-away", { url, sha256: here.sha256, error });
      return undefined;
    }
  }

  async #fetch(url: string, sha256: string | undefined, running: Running): Promise<CachedImage> {
    const { folder, source, hashText, log } = this.#ports;
    const name = hashText(url);
    const part = await this.#inventory.holdPart(name);
    try {
      const onProgress = (progress: Progress): void => running.listeners.forEach((tell) => void tell(progress));
      const makeRoom = (totalBytes: number): Promise<void> => this.#inventory.makeRoom(url, name, totalBytes);
      const job = { url, sha256, makeRoom, onProgress };
      const got = await download(source, part, job, running.stop.signal);
      log.info("image-fetched", { url, ...got });
      return await this.#inventory.add({ ...got, path: folder.path(got.sha256) });
    } finally {
      await part.close();
      this.#inventory.releasePart(name, part.sizeBytes);
    }
  }

  async #join(
    key: string,
    wanted: WantedImage,
    signal: AbortSignal,
    start: (running: Running) => Promise<CachedImage>,
  ): Promise<CachedImage> {
    for (let dying = this.#dying(key); dying !== undefined; dying = this.#dying(key)) await dying;
    signal.throwIfAborted();
    const running = this.#running.get(key) ?? this.#start(key, wanted.url, start);
    running.waiters += 1;
    const { onProgress } = wanted;
    if (onProgress) running.listeners.add(onProgress);
    let leave = (): void => undefined;
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
      signal.addEventListener("abort", leave, { once: true });
    });
    try {
      return await Promise.race([running.done, left]);
    } finally {
      signal.removeEventListener("abort", leave);
      if (onProgress) running.listeners.delete(onProgress);
      running.waiters -= 1;
      if (running.waiters === 0) {
        // Nobody waits any more. Whoever asks from now on begins anew, where the part ends.
        running.stop.abort(new Error("nobody wants the image any more"));
        await running.done.catch(() => undefined);
      }
    }
  }

  /** The end of a download that nobody waits for any more. */
  #dying(key: string): Promise<unknown> | undefined {
    const running = this.#running.get(key);
    return running?.stop.signal.aborted ? running.done.catch(() => undefined) : undefined;
  }

  #start(key: string, url: string, start: (running: Running) => Promise<CachedImage>): Running {
    const max = this.#options.downloadsMax ?? downloadsMaxUsual;
    if (this.#running.size >= max)
      throw new Refusal("exhausted", `image ${url}: ${max} images are being fetched; ask again later`);
    let begin = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const running: Running = {
      done: begun.then(() => start(running)).finally(() => this.#running.delete(key)),
      stop: new AbortController(),
      listeners: new Set(),
      waiters: 0,
    };
    running.done.catch(() => undefined);
    this.#running.set(key, running);
    begin();
    return running;
  }
}

function target(wanted: WantedImage): { readonly url: string; readonly sha256: string | undefined } {
  const parsed = parseImageUrl(wanted.url);
  if (!parsed.ok) throw new Refusal("invalid", parsed.error);
  const given = wanted.sha256 === undefined ? undefined : parseSha256(wanted.sha256);
  if (wanted.sha256 !== undefined && given === undefined)
    throw new Refusal("invalid", `image ${parsed.value.url}: sha256 ${wanted.sha256}: 64 hex digits are wanted`);
  if (given !== undefined && parsed.value.sha256 !== undefined && given !== parsed.value.sha256)
    throw new Refusal("invalid", `image ${wanted.url}: its URL and its record name different digests`);
  return { url: parsed.value.url, sha256: parsed.value.sha256 ?? given };
}
