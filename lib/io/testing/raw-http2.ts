import { once } from "node:events";
import net from "node:net";

/** Of RFC 9113 §6. */
export const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7 } as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A peer of HTTP/2 without manners: it sends what it is told, and answers nothing. */
export class RawHttp2 {
  readonly closed: Promise<unknown>;
  readonly #socket: net.Socket;
  readonly #frames: Frame[] = [];
  readonly #wake = new Set<() => void>();
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    this.closed = once(socket, "close");
    socket.on("error", () => {}).on("data", (bytes) => this.#take(bytes));
  }

  /** Has said the preface and empty settings. */
  static async connect(port: number): Promise<RawHttp2> {
    const socket = net.connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.setNoDelay(true).write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const raw = new RawHttp2(socket);
    raw.send(frameTypes.settings, 0, 0, Buffer.alloc(0));
    return raw;
  }

  send(type: number, flags: number, stream: number, payload: Buffer): void {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    this.#socket.write(Buffer.concat([head, payload]));
  }

  /** @param flags 4: the header is whole */
  call(stream: number, path: string, flags = 4): void {
    const fields = [":method", "POST", ":scheme", "http", ":authority", "a", ":path", path];
    this.send(frameTypes.headers, flags, stream, fieldBlock([...fields, "content-type", "application/grpc"]));
  }

  /**
   * A message of gRPC whose first field is a text, in one frame.
   * @param bytes 0, or 3 to 16,386
   * @param sentBytes fewer: the message is not whole
   */
  message(stream: number, bytes: number, sentBytes = bytes): void {
    this.send(frameTypes.data, 0, stream, grpcMessage(bytes).subarray(0, 5 + sentBytes));
  }

  /** The first frame of the kind on the stream. */
  async frame(type: number, stream: number): Promise<Frame> {
    for (;;) {
      const found = this.#frames.find((frame) => frame.type === type && frame.stream === stream);
      if (found) return found;
      await new Promise<void>((resolve) => this.#wake.add(resolve));
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) break;
      const [type, flags] = [this.#rest.readUInt8(3), this.#rest.readUInt8(4)];
      const payload = this.#rest.subarray(9, end);
      this.#frames.push({ type, flags, stream: this.#rest.readUInt32BE(5), payload });
      this.#rest = this.#rest.subarray(end);
    }
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }
}

/** Literals without indexing, names and values by turns, all shorter than 127 bytes. @source RFC 7541 §6.2.2 */
const fieldBlock = (words: readonly string[]): Buffer =>
  Buffer.concat(
    words.map((word, i) =>
      Buffer.concat([Buffer.from(i % 2 === 0 ? [0, word.length] : [word.length]), Buffer.from(word)]),
    ),
  );

export function grpcMessage(bytes: number): Buffer {
  const envelope = Buffer.alloc(5 + bytes);
  envelope.writeUInt32BE(bytes, 1);
  const textBytes = bytes - 3;
  if (bytes > 0) envelope.set([0x0a, (textBytes & 0x7f) | 0x80, textBytes >> 7], 5);
  return envelope;
}
