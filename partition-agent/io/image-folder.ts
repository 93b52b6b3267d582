import { createCipheriv, createHash, type Hash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import type { OpenFile } from "#pxe-boot/files/file-source.ts";
import type { HashText, ImageFolder, Part, Sealed } from "../image/ports.ts";

export const sha256OfText: HashText = (text) => createHash("sha256").update(text).digest("hex");

const readBytes = 1 << 20;
const nameShape = /^[0-9a-f]{64}$/;

/**
 * Images on disk: `objects/SHA256`, `parts/NAME` with its validator in `parts/NAME.validator`, and `index.json`.
 * @param root is made when it is missing
 */
export async function openImageFolder(root: string): Promise<ImageFolder> {
  const objects = path.join(root, "objects");
  const parts = path.join(root, "parts");
  for (const folder of [objects, parts]) await mkdir(folder, { recursive: true });
  const objectPath = (sha256: string): string => path.join(objects, sha256);
  return {
    path: objectPath,
    objects: async () => (await sizes(objects)).map(({ name, sizeBytes }) => ({ sha256: name, sizeBytes })),
    digest: async (sha256) => (await hashOf(objectPath(sha256))).digest("hex"),
    seal: (sha256) => sealed(objectPath(sha256)),
    open: (sha256) => openObject(objectPath(sha256), sha256),
    remove: (sha256) => rm(objectPath(sha256), { force: true }),
    parts: () => sizes(parts),
    part: (name) => openPart(path.join(parts, name), objects),
    removePart: async (name) => {
      await rm(path.join(parts, name), { force: true });
      await rm(path.join(parts, `${name}.validator`), { force: true });
    },
    readIndex: () => textOf(path.join(root, "index.json")),
    writeIndex: (text) => replaceFile(root, "index.json", text),
  };
}

async function sizes(folder: string): Promise<{ readonly name: string; readonly sizeBytes: number }[]> {
  const names = (await readdir(folder)).filter((name) => nameShape.test(name));
  return Promise.all(names.map(async (name) => ({ name, sizeBytes: (await stat(path.join(folder, name))).size })));
}

async function hashOf(file: string): Promise<Hash> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: readBytes })) hash.update(chunk as Buffer);
  return hash;
}

async function sealed(file: string): Promise<Sealed> {
  const sha256 = createHash("sha256");
  const key = randomBytes(32);
  const seal = createCipheriv("chacha20-poly1305", key, new Uint8Array(12), { authTagLength: 16 });
  for await (const chunk of createReadStream(file, { highWaterMark: readBytes })) {
    sha256.update(chunk as Buffer);
    seal.setAAD(chunk as Buffer, { plaintextLength: 0 });
  }
  seal.final();
  return { sha256: sha256.digest("hex"), seal: { key, tag: seal.getAuthTag() } };
}

async function openObject(file: string, sha256: string): Promise<OpenFile> {
  const handle = await open(file, "r");
  const { size } = await handle.stat();
  return {
    sizeBytes: size,
    etag: sha256,
    read: async (offset, into) => (await handle.read(into, 0, into.length, offset)).bytesRead,
    close: () => handle.close(),
  };
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function replaceFile(folder: string, name: string, text: string): Promise<void> {
  const fresh = path.join(folder, `${name}.new`);
  const handle = await open(fresh, "w");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, path.join(folder, name));
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function openPart(file: string, objects: string): Promise<Part> {
  const validatorFile = `${file}.validator`;
  const validator = await textOf(validatorFile);
  const handle = await open(file, "a+");
  const { size } = await handle.stat();
  const hash = size === 0 ? createHash("sha256") : await hashOf(file);
  return new DiskPart({ file, validatorFile, objects, handle }, { hash, size, validator });
}

interface PartPlace {
  readonly file: string;
  readonly validatorFile: string;
  readonly objects: string;
  readonly handle: FileHandle;
}

class DiskPart implements Part {
  readonly #place: PartPlace;
  #hash: Hash;
  #isOpen = true;
  sizeBytes: number;
  validator: string | undefined;

  constructor(place: PartPlace, content: { hash: Hash; size: number; validator: string | undefined }) {
    this.#place = place;
    this.#hash = content.hash;
    this.sizeBytes = content.size;
    this.validator = content.validator;
  }

  async restart(validator: string | undefined): Promise<void> {
    await this.#place.handle.truncate(0);
    this.#hash = createHash("sha256");
    this.sizeBytes = 0;
    this.validator = validator;
    if (validator === undefined) await rm(this.#place.validatorFile, { force: true });
    else await writeFile(this.#place.validatorFile, validator);
  }

  async append(chunk: Uint8Array): Promise<void> {
    await this.#place.handle.appendFile(chunk);
    this.#hash.update(chunk);
    this.sizeBytes += chunk.length;
  }

  async digest(): Promise<string> {
    return this.#hash.copy().digest("hex");
  }

  async commit(sha256: string): Promise<void> {
    const { handle, file, validatorFile, objects } = this.#place;
    await handle.sync();
    await rename(file, path.join(objects, sha256));
    await syncFolder(objects);
    await rm(validatorFile, { force: true });
    this.sizeBytes = 0;
    await this.close();
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#place.handle.close();
  }
}
