import { type FileHandle, open, realpath } from "node:fs/promises";
import path from "node:path";
import type { FileSource, OpenFile } from "../files/file-source.ts";

/**
 * The files of a folder, links that leave it excepted. An empty file counts as missing: it is one that is still being written.
 * Replace files by rename, so that those who read go on with what they opened.
 */
export class FolderSource implements FileSource {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = path.resolve(folder);
  }

  async open(name: string): Promise<OpenFile | undefined> {
    const full = await this.#locate(name);
    const handle = full === undefined ? undefined : await ifThere(open(full, "r"));
    if (!handle) return undefined;
    try {
      const stat = await handle.stat();
      const etag = [stat.ino, stat.size, stat.mtimeMs].map((n) => n.toString(36)).join("-");
      if (stat.isFile() && stat.size > 0) return openFile(handle, stat.size, etag);
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    return undefined;
  }

  async #locate(name: string): Promise<string | undefined> {
    const root = await realpath(this.#folder);
    const full = await ifThere(realpath(path.join(root, name)));
    return full?.startsWith(root + path.sep) ? full : undefined;
  }
}

const openFile = (handle: FileHandle, sizeBytes: number, etag: string): OpenFile => ({
  sizeBytes,
  etag,
  read: async (offset, into) => {
    const wanted = Math.max(0, Math.min(into.length, sizeBytes - offset));
    let got = 0;
    while (got < wanted) {
      const { bytesRead } = await handle.read(into, got, wanted - got, offset + got);
      if (bytesRead === 0) throw new Error(`file shrank below ${sizeBytes} bytes while it was read`);
      got += bytesRead;
    }
    return got;
  },
  close: () => handle.close(),
});

async function ifThere<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG"].includes((error as NodeJS.ErrnoException).code ?? ""))
      return undefined;
    throw error;
  }
}
