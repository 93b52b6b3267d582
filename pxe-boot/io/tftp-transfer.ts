import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { Clock } from "#lib/clock.ts";
import type { OpenFile } from "../files/file-source.ts";
import { decodeTftp, encodeTftp, tftpError } from "../tftp/packet.ts";
import type { Terms } from "../tftp/terms.ts";
import { beginTransfer, blockStart, onAck, onTime, type Sending, type Step, type Transfer } from "../tftp/transfer.ts";

/** Where a client sends from: its transfer identifier. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

export type Ending = { readonly how: "done" | "timeout" | "aborted" | "failed"; readonly why?: unknown };

const chunkBytes = 256 * 1024;

/** One file on its way to one client, from a port of its own. */
export class TftpTransfer {
  readonly #socket: Socket;
  readonly #peer: Peer;
  readonly #file: OpenFile;
  readonly #clock: Clock;
  #state: Transfer | undefined;
  /** What is to be sent next; a newer one replaces it. */
  #next: Sending | undefined;
  #isSending = false;
  #chunk: { readonly offset: number; readonly bytes: Uint8Array } = { offset: 0, bytes: new Uint8Array() };
  #end: (ending: Ending) => void = () => {};

  private constructor(socket: Socket, peer: Peer, file: OpenFile, clock: Clock) {
    this.#socket = socket;
    this.#peer = peer;
    this.#file = file;
    this.#clock = clock;
  }

  /** Resolves when the transfer has ended, in whatever way; the file stays open. */
  static async run(
    of: { readonly server: string; readonly peer: Peer; readonly file: OpenFile; readonly terms: Terms },
    clock: Clock,
    signal: AbortSignal,
  ): Promise<Ending> {
    const socket = createSocket({ type: "udp4", lookup: (host, _, done) => done(null, host, 4) });
    const over = new AbortController();
    try {
      const listening = once(socket, "listening");
      socket.bind(0, of.server);
      await listening;
      const transfer = new TftpTransfer(socket, of.peer, of.file, clock);
      const ended = new Promise<Ending>((resolve) => {
        transfer.#end = resolve;
      });
      const stop = () => transfer.#fail("server is stopping", { how: "aborted" });
      signal.addEventListener("abort", stop);
      if (signal.aborted) stop();
      socket.on("message", (bytes, from) => transfer.#hear(bytes, from));
      socket.on("error", (why) => transfer.#end({ how: "failed", why }));
      transfer.#take(beginTransfer(of.terms, of.file.sizeBytes, clock.monotonicMs()));
      void transfer.#watchTime(over.signal);
      const ending = await ended;
      signal.removeEventListener("abort", stop);
      return ending;
    } catch (why) {
      return { how: "failed", why };
    } finally {
      over.abort();
      socket.close();
    }
  }

  #hear(bytes: Uint8Array, from: Peer): void {
    const packet = decodeTftp(bytes);
    if (from.port !== this.#peer.port || from.address !== this.#peer.address) {
      // Somebody else's packet must not disturb this transfer (RFC 1350 §4); an error is never answered with an error.
      if (!packet.ok || packet.value.kind === "error") return;
      this.#send(encodeTftp({ kind: "error", code: tftpError.unknownTransfer, message: "not your transfer" }), from);
      return;
    }
    if (!packet.ok || this.#state === undefined) return;
    // EDK2 asks for the size first and breaks off with an error: not a failure.
    if (packet.value.kind === "error") this.#end({ how: "aborted", why: packet.value.message });
    else if (packet.value.kind === "ack") this.#take(onAck(this.#state, packet.value.block, this.#clock.monotonicMs()));
  }

  #take(step: Step): void {
    if (step.kind === "ended") {
      this.#state = undefined;
      this.#end({ how: step.how });
      return;
    }
    this.#state = step.transfer;
    if (step.send) this.#next = step.send;
    if (!this.#isSending && this.#next) void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    try {
      while (this.#next && this.#state) {
        const sending = this.#next;
        this.#next = undefined;
        if (sending.kind === "agreed") this.#sendAgreed(this.#state.terms);
        else await this.#sendBlocks(this.#state, sending.from, sending.to);
      }
    } catch (why) {
      this.#fail("file cannot be read", { how: "failed", why });
    }
    this.#isSending = false;
  }

  #sendAgreed({ agreed }: Terms): void {
    this.#send(encodeTftp({ kind: "oack", options: agreed ?? new Map() }));
  }

  async #sendBlocks(transfer: Transfer, from: number, to: number): Promise<void> {
    const start = blockStart(transfer, from);
    const end = Math.min(blockStart(transfer, to + 1), this.#file.sizeBytes);
    if (!this.#holds(start, end)) {
      const length = Math.max(end - start, Math.min(chunkBytes, this.#file.sizeBytes - start));
      const bytes = new Uint8Array(length);
      const count = length > 0 ? await this.#file.read(start, bytes) : 0;
      this.#chunk = { offset: start, bytes: bytes.subarray(0, count) };
    }
    const { offset, bytes } = this.#chunk;
    for (let block = from; block <= to; block++) {
      const at = blockStart(transfer, block) - offset;
      const header = Uint8Array.of(0, 3, (block >> 8) & 255, block & 255);
      this.#send([header, bytes.subarray(at, Math.min(at + transfer.terms.blockBytes, end - offset))]);
    }
  }

  #holds(start: number, end: number): boolean {
    return start >= this.#chunk.offset && end <= this.#chunk.offset + this.#chunk.bytes.length;
  }

  #send(datagram: Uint8Array | Uint8Array[], to: Peer = this.#peer): void {
    // What is lost on the way is sent again after a time-out; so is what could not be sent.
    this.#socket.send(datagram as Uint8Array, to.port, to.address, () => {});
  }

  #fail(message: string, ending: Ending): void {
    this.#send(encodeTftp({ kind: "error", code: tftpError.undefined, message }));
    this.#state = undefined;
    this.#end(ending);
  }

  async #watchTime(signal: AbortSignal): Promise<void> {
    try {
      while (this.#state && !signal.aborted) {
        await this.#clock.sleep(Math.max(1, this.#state.deadlineMs - this.#clock.monotonicMs()), signal);
        if (this.#state) this.#take(onTime(this.#state, this.#clock.monotonicMs()));
      }
    } catch {
      // The transfer is over.
    }
  }
}
