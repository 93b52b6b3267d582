// gRPC's frame around each message of a stream: a flag, 0 where the message is not compressed, and its length in four bytes, big-endian.
import { Code, ConnectError } from "@connectrpc/connect";

/** @source gRPC, PROTOCOL-HTTP2.md, Length-Prefixed-Message */
const prefixBytes = 5;

/** Of one message, not compressed, which a message may be whatever was agreed on. */
export function framed(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(prefixBytes + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, prefixBytes);
  return bytes;
}

/** The messages in bytes that come in pieces. */
export class FrameReader {
  readonly #messageBytesMax: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** Without so many there is nothing to do. */
  #wantedBytes = prefixBytes;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** @returns those that are whole now. @throws ConnectError for a frame that is compressed or too long */
  take(piece: Uint8Array): readonly Uint8Array[] {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes < this.#wantedBytes) return [];
    const bytes = this.#pieces.length === 1 ? piece : joined(this.#pieces, this.#bytes);
    const messages: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      this.#wantedBytes = this.#frameBytes(bytes, at);
      if (bytes.length - at < this.#wantedBytes) break;
      messages.push(bytes.subarray(at + prefixBytes, at + this.#wantedBytes));
      at += this.#wantedBytes;
    }
    this.#pieces = at === bytes.length ? [] : [bytes.subarray(at)];
    this.#bytes = bytes.length - at;
    return messages;
  }

  /** Whether the bytes end between two messages. */
  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Of the frame that begins there; while its length is not there, more than there is. */
  #frameBytes(bytes: Uint8Array, at: number): number {
    if (bytes.length - at < prefixBytes) return prefixBytes;
    if (bytes[at] !== 0) throw new ConnectError(`message with flags ${bytes[at]}: none was asked for`, Code.Internal);
    const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(1);
    if (length > this.#messageBytesMax)
      throw new ConnectError(`message of ${length} bytes exceeds ${this.#messageBytesMax}`, Code.ResourceExhausted);
    return prefixBytes + length;
  }
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
