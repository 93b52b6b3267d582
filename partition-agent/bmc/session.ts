import { fail, ok, type Result } from "#lib/result.ts";
import type { Command } from "./commands.ts";
import type { BmcCrypto } from "./crypto.ts";
import type { Established } from "./handshake.ts";
import { decodeResponse, encodeRequest, type IpmiResponse } from "./ipmi-message.ts";
import { accepted, emptyWindow, type ReplayWindow } from "./replay-window.ts";
import { decodePacket, payloadTypes } from "./rmcp.ts";
import { seal, unseal } from "./sealed-message.ts";

/** The counters of one session that stands. No I/O: packets in, packets out. */
export class Session {
  readonly #crypto: BmcCrypto;
  readonly #established: Established;
  #lastSequence = 0;
  #lastRequest = 0;
  #window: ReplayWindow = emptyWindow;

  constructor(crypto: BmcCrypto, established: Established) {
    this.#crypto = crypto;
    this.#established = established;
  }

  get bmcId(): number {
    return this.#established.bmcId;
  }

  /** The managed system's, as the handshake told. */
  get guid(): Uint8Array {
    return this.#established.guid;
  }

  /** The number of a new request; repeats of it keep the number. */
  nextRequest(): number {
    this.#lastRequest = (this.#lastRequest + 1) % 64;
    return this.#lastRequest;
  }

  /** A packet under the next session sequence number. @param iv 16 random bytes */
  packet(command: Command<unknown>, request: number, iv: Uint8Array): Uint8Array {
    const message = encodeRequest({
      netFn: command.netFn,
      command: command.code,
      sequence: request,
      content: command.content,
    });
    return this.#sealed(payloadTypes.ipmi, message, iv);
  }

  /** A packet for the serial console. @param iv 16 random bytes */
  serialPacket(payload: Uint8Array, iv: Uint8Array): Uint8Array {
    return this.#sealed(payloadTypes.sol, payload, iv);
  }

  #sealed(payloadType: number, message: Uint8Array, iv: Uint8Array): Uint8Array {
    this.#lastSequence = this.#lastSequence === 0xffffffff ? 1 : this.#lastSequence + 1;
    const header = { payloadType, sessionId: this.#established.bmcId, sequence: this.#lastSequence, iv };
    return seal(this.#crypto, this.#established.keys, header, message);
  }

  /** The response to `request`, or why the datagram is none: forged, seen before, of an older request. */
  response(command: Command<unknown>, request: number, datagram: Uint8Array): Result<IpmiResponse> {
    const message = this.#opened(payloadTypes.ipmi, datagram);
    if (!message.ok) return message;
    const response = decodeResponse(message.value);
    if (!response.ok) return response;
    const r = response.value;
    if (r.netFn !== command.netFn + 1 || r.command !== command.code || r.sequence !== request)
      return fail("answer to another request");
    return ok(r);
  }

  /** What came from the serial console, or why the datagram did not. */
  serialPayload(datagram: Uint8Array): Result<Uint8Array> {
    return this.#opened(payloadTypes.sol, datagram);
  }

  #opened(payloadType: number, datagram: Uint8Array): Result<Uint8Array> {
    const packet = decodePacket(datagram);
    if (!packet.ok) return packet;
    const p = packet.value;
    if (p.kind === "plain" || p.payloadType !== payloadType || p.sessionId !== this.#established.consoleId)
      return fail("not of this session");
    const message = unseal(this.#crypto, this.#established.keys, p);
    if (!message.ok) return message;
    const window = accepted(this.#window, p.sequence);
    if (window === undefined) return fail(`sequence ${p.sequence} was seen before`);
    this.#window = window;
    return message;
  }
}
