import { closeSync, fstatSync, openSync, writeSync } from "node:fs";

const mebibyte = 2 ** 20;
/** Any commit may write so much besides its values: the upper pages of its trees, and the list of free pages. */
const commitBytes = 2 * mebibyte;
/** Room that is made beforehand. What overwrites or deletes takes pages that are free, so on a full disk it goes on within this. */
const aheadBytes = 4 * mebibyte;
/** Of one change: the page that it is on, the one above, and one that is split. */
const changeBytes = 3 * 4_096;

/** @returns the most bytes that the changes make the file longer by. @param values lengths in bytes, 0 for a deletion */
export const roomOf = (values: readonly number[]): number =>
  values.reduce((sum, length) => sum + changeBytes + 2 * length, 0);

/**
 * The room that LMDB's file has for commits to come, made of zeros behind its last page before LMDB is asked to write. For LMDB does
 * not stand a disk that is full: the package destroys its own heap when a page cannot be written.
 */
export class LmdbRoom {
  readonly #file: string;
  readonly #mapBytes: number;
  #bytes = 0;

  constructor(file: string, mapBytes: number) {
    this.#file = file;
    this.#mapBytes = mapBytes;
  }

  /**
   * @param usedBytes up to the last page that LMDB has written
   * @returns why there is no room for so many bytes more; undefined when there is
   */
  lacks(usedBytes: number, bytes: number): unknown {
    const needed = usedBytes + commitBytes + bytes;
    if (needed > this.#mapBytes) return new Error(`it may be ${this.#mapBytes / mebibyte} MiB long`);
    const failure = needed + aheadBytes / 2 > this.#bytes ? this.#extend(needed + aheadBytes) : undefined;
    return needed > this.#bytes ? failure : undefined;
  }

  /** @returns why it failed. What was written until then is room, too. */
  #extend(wanted: number): unknown {
    const end = Math.min(wanted, this.#mapBytes);
    try {
      const file = openSync(this.#file, "a"); // so that nothing that LMDB has written is ever overwritten
      try {
        for (;;) {
          this.#bytes = fstatSync(file).size;
          if (this.#bytes >= end) return undefined;
          writeSync(file, zeros, 0, Math.min(zeros.length, end - this.#bytes));
        }
      } finally {
        closeSync(file);
      }
    } catch (error) {
      return error;
    }
  }
}

const zeros = new Uint8Array(mebibyte);
