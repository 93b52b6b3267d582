// What is in the folder, who uses it, and what goes when room is needed. Kept here: the sum of images, parts and room that
// was promised to downloads never exceeds the limit, and no image is given out before its digest was seen to fit.
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { OneByOne } from "#lib/one-by-one.ts";
import { Refusal } from "#lib/refusal.ts";
import type { OpenFile } from "#pxe-boot/files/file-source.ts";
import { victims } from "./eviction.ts";
import type { CachedImage } from "./image-cache.ts";
import { decodeIndex, emptyIndex, encodeIndex, type ImageIndex } from "./image-index.ts";
import type { ImageFolder, Part } from "./ports.ts";

export interface InventoryPorts {
  readonly folder: ImageFolder;
  readonly clock: Clock;
  readonly log: Log;
}

export interface InventoryLimits {
  readonly bytesMax: number;
  readonly isNeeded: (sha256: string) => boolean;
}

interface Image extends CachedImage {
  usedAtMs: number;
  /** Open files and checks that run. */
  users: number;
  /** Resolves to whether the content is what its name says; absent until somebody asks. */
  check: Promise<boolean> | undefined;
}

export class ImageInventory {
  readonly #ports: InventoryPorts;
  readonly #limits: InventoryLimits;
  readonly #images = new Map<string, Image>();
  readonly #urls: Map<string, string>;
  /** Bytes of parts that nobody completes right now. */
  readonly #idleParts = new Map<string, number>();
  /** Bytes that running downloads may take, by the name of their part. */
  readonly #promised = new Map<string, number>();
  readonly #saves = new OneByOne();

  private constructor(ports: InventoryPorts, limits: InventoryLimits, index: ImageIndex) {
    this.#ports = ports;
    this.#limits = limits;
    this.#urls = new Map(Object.entries(index.urls));
  }

  static async load(ports: InventoryPorts, limits: InventoryLimits): Promise<ImageInventory> {
    const { folder, log, clock } = ports;
    const text = await folder.readIndex();
    const decoded = text === undefined ? undefined : decodeIndex(text);
    if (decoded && !decoded.ok) log.warn("image-index-lost", { error: decoded.error });
    const index = decoded?.ok ? decoded.value : emptyIndex();
    const inventory = new ImageInventory(ports, limits, index);
    for (const { sha256, sizeBytes } of await folder.objects()) {
      const known = index.objects[sha256];
      if (known && known.sizeBytes !== sizeBytes) {
        log.warn("image-damaged", { sha256, sizeBytes, expectedBytes: known.sizeBytes });
        await folder.remove(sha256);
        continue;
      }
      const usedAtMs = known?.usedAtMs ?? clock.wallMs();
      const path = folder.path(sha256);
      inventory.#images.set(sha256, { sha256, sizeBytes, path, usedAtMs, users: 0, check: undefined });
    }
    for (const { name, sizeBytes } of await folder.parts()) inventory.#idleParts.set(name, sizeBytes);
    return inventory;
  }

  /** The digest that the URL had when it was last looked at. */
  digestOf(url: string): string | undefined {
    return this.#urls.get(url);
  }

  async learn(url: string, sha256: string): Promise<void> {
    if (this.#urls.get(url) === sha256) return;
    this.#urls.delete(url);
    this.#urls.set(url, sha256);
    await this.#save();
  }

  /** The image if it is here and whole; its digest is computed once per process. One that is damaged is removed. */
  async verified(sha256: string): Promise<CachedImage | undefined> {
    const image = await this.#checked(sha256);
    if (image === undefined) return undefined;
    const { path, sizeBytes } = image;
    return { path, sha256, sizeBytes };
  }

  async open(sha256: string): Promise<OpenFile | undefined> {
    const image = await this.#checked(sha256);
    if (image === undefined) return undefined;
    image.users += 1;
    try {
      const file = await this.#ports.folder.open(sha256);
      let open = true;
      const close = async (): Promise<void> => {
        if (open) image.users -= 1;
        open = false;
        await file.close();
      };
      return { sizeBytes: file.sizeBytes, etag: sha256, read: (offset, into) => file.read(offset, into), close };
    } catch (error) {
      image.users -= 1;
      throw error;
    }
  }

  /** Takes in an image whose digest was just computed. */
  async add(image: CachedImage): Promise<CachedImage> {
    const usedAtMs = this.#ports.clock.wallMs();
    const check = Promise.resolve(true);
    const known = this.#images.get(image.sha256);
    if (known) Object.assign(known, { usedAtMs, check });
    else this.#images.set(image.sha256, { ...image, usedAtMs, users: 0, check });
    await this.#save();
    return image;
  }

  /** Opens a part for one download; two must not hold the same. */
  async holdPart(name: string): Promise<Part> {
    if (this.#promised.has(name)) throw new Refusal("conflict", "another download of this URL is running; ask again");
    const part = await this.#ports.folder.part(name);
    this.#promised.set(name, part.sizeBytes);
    this.#idleParts.delete(name);
    return part;
  }

  releasePart(name: string, sizeBytes: number): void {
    this.#promised.delete(name);
    if (sizeBytes > 0) this.#idleParts.set(name, sizeBytes);
  }

  /**
   * Promises a download room for a file of so many bytes in all: parts of former downloads go first, then images.
   * @throws Refusal "exhausted"
   */
  async makeRoom(url: string, part: string, totalBytes: number): Promise<void> {
    const { folder, log } = this.#ports;
    const { bytesMax } = this.#limits;
    if (this.#excess(part, totalBytes) > 0) {
      for (const name of [...this.#idleParts.keys()]) {
        this.#idleParts.delete(name);
        await folder.removePart(name);
      }
    }
    const chosen = victims(this.#evictable(), { neededBytes: totalBytes, takenBytes: this.#taken(part), bytesMax });
    if (!chosen.ok) throw new Refusal("exhausted", `image ${url}: ${chosen.error}`);
    this.#promised.set(part, totalBytes);
    for (const sha256 of chosen.value) this.#images.delete(sha256);
    for (const sha256 of chosen.value) {
      await folder.remove(sha256);
      log.info("image-evicted", { sha256 });
    }
  }

  async #checked(sha256: string): Promise<Image | undefined> {
    const image = this.#images.get(sha256);
    if (image === undefined) return undefined;
    image.usedAtMs = this.#ports.clock.wallMs();
    image.check ??= this.#check(image);
    return (await image.check) && this.#images.get(sha256) === image ? image : undefined;
  }

  async #check(image: Image): Promise<boolean> {
    const { folder, log } = this.#ports;
    image.users += 1;
    try {
      const actual = await folder.digest(image.sha256);
      if (actual === image.sha256) return true;
      log.warn("image-damaged", { sha256: image.sha256, actual });
      this.#images.delete(image.sha256);
      await folder.remove(image.sha256);
      return false;
    } catch (error) {
      log.warn("image-unreadable", { sha256: image.sha256, error });
      image.check = undefined;
      return false;
    } finally {
      image.users -= 1;
    }
  }

  #evictable() {
    return [...this.#images.values()].map((image) => ({
      ...image,
      isInUse: image.users > 0 || this.#limits.isNeeded(image.sha256),
    }));
  }

  /** Bytes beside the images and beside what the given part may take. */
  #taken(part: string): number {
    const promised = [...this.#promised].reduce((sum, [name, bytes]) => (name === part ? sum : sum + bytes), 0);
    return [...this.#idleParts.values()].reduce((sum, bytes) => sum + bytes, promised);
  }

  #excess(part: string, totalBytes: number): number {
    const images = [...this.#images.values()].reduce((sum, i) => sum + i.sizeBytes, 0);
    return images + this.#taken(part) + totalBytes - this.#limits.bytesMax;
  }

  /** One write at a time, each with what is known when it begins. */
  #save(): Promise<void> {
    return this.#saves.run(async () => {
      const objects = Object.fromEntries(
        [...this.#images].map(([sha256, { sizeBytes, usedAtMs }]) => [sha256, { sizeBytes, usedAtMs }]),
      );
      await this.#ports.folder.writeIndex(encodeIndex({ version: 1, objects, urls: Object.fromEntries(this.#urls) }));
    });
  }
}
