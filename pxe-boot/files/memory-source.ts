import type { FileSource, OpenFile } from "./file-source.ts";

/** Files in memory, by name. */
export class MemorySource implements FileSource {
  readonly #files: ReadonlyMap<string, Uint8Array>;

  constructor(files: Readonly<Record<string, Uint8Array>>) {
    this.#files = new Map(Object.entries(files));
  }

  async open(name: string): Promise<OpenFile | undefined> {
    const bytes = this.#files.get(name);
    return (
      bytes && {
        sizeBytes: bytes.length,
        etag: `${name.length}-${bytes.length}`,
        read: async (offset, into) => {
          const part = bytes.subarray(offset, offset + into.length);
          into.set(part);
          return part.length;
        },
        close: async () => {},
      }
    );
  }
}
