// A few kilobytes can become the largest message that is taken, a thousandfold; a peer that sends many of these at once must not make
// all of them long at once.
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";

/** Messages that become no longer than this wait for nobody. */
const shortBytesMax = 64 << 10;
/** Longer ones that are made long at once, by one port. */
export const longAtOnceMax = 4;

/** The same, but of messages that become long only so many at a time. */
export function decompressingInTurn(compressions: readonly Compression[]): Compression[] {
  const turns = new Turns(longAtOnceMax);
  return compressions.map((compression) => ({
    ...compression,
    async decompress(bytes, bytesMax) {
      try {
        return await compression.decompress(bytes, Math.min(shortBytesMax, bytesMax));
      } catch (error) {
        if (bytesMax <= shortBytesMax || ConnectError.from(error).code !== Code.ResourceExhausted) throw error;
      }
      return await turns.take(() => compression.decompress(bytes, bytesMax));
    },
  }));
}

class Turns {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(atOnceMax: number) {
    this.#free = atOnceMax;
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
