// A BMC in memory: the other side of RMCP+, speaking the real codec, with switches for what real ones do wrong.
import type { Random } from "#lib/random.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import { completion, rmcpStatus } from "../completion-code.ts";
import { type BmcCrypto, sameCode } from "../crypto.ts";
import { decodeRequest, encodeResponse, type IpmiRequest } from "../ipmi-message.ts";
import { decodeOpenSessionRequest, encodeOpenSessionResponse } from "../open-session.ts";
import { decodeRakp1, decodeRakp3, encodeRakp2, encodeRakp4 } from "../rakp.ts";
import { accepted, emptyWindow, type ReplayWindow } from "../replay-window.ts";
import { decodePacket, encodeHandshakePacket, encodePlain, payloadTypes, type SessionPacket } from "../rmcp.ts";
import { seal, unseal } from "../sealed-message.ts";
import { type SessionKeys, sessionKeys } from "../session-keys.ts";
import { Chassis } from "./chassis.ts";
import { SerialPort } from "./serial-port.ts";

export interface ResponderPorts {
  readonly crypto: BmcCrypto;
  readonly random: Random;
}

export interface ResponderSetup {
  readonly suites: readonly CipherSuite[];
  readonly users: Readonly<Record<string, string>>;
  /** 16 bytes as they go over the wire. */
  readonly guid: Uint8Array;
  readonly sessionsMax: number;
}

/** What goes wrong from now on; counters count down. */
export interface Lies {
  /** Datagrams lost on the way here. */
  lostRequests: number;
  /** Answers lost on the way back. */
  lostAnswers: number;
  /** Answers held back until just before the next one. */
  lateAnswers: number;
  /** Commands answered with 0xC0. */
  busy: number;
  /** Commands that are carried out, and whose answers are lost: how many of each, by `netFn/command`. */
  readonly lostAnswersTo: Map<string, number>;
  everythingTwice: boolean;
  isMute: boolean;
  wrongCode: "rakp2" | "rakp4" | "packet" | undefined;
}

interface Slot {
  readonly bmcId: number;
  readonly consoleId: number;
  readonly suite: CipherSuite;
  keys: SessionKeys | undefined;
  isActive: boolean;
  sequence: number;
  window: ReplayWindow;
}

export class Responder {
  readonly chassis: Chassis;
  readonly serial = new SerialPort();
  readonly lies: Lies = {
    lostRequests: 0,
    lostAnswers: 0,
    lateAnswers: 0,
    busy: 0,
    lostAnswersTo: new Map(),
    everythingTwice: false,
    isMute: false,
    wrongCode: undefined,
  };
  /** Datagrams that came, the lost ones included. */
  heard = 0;
  /** Sessions that stood, ever. */
  established = 0;
  readonly #ports: ResponderPorts;
  readonly #setup: ResponderSetup;
  readonly #slots = new Map<number, Slot>();
  #held: Uint8Array[] = [];
  #lastId = 0x1000;

  constructor(ports: ResponderPorts, setup: ResponderSetup) {
    this.#ports = ports;
    this.#setup = setup;
    this.chassis = new Chassis(setup.guid);
  }

  get openSessions(): number {
    return [...this.#slots.values()].filter((s) => s.isActive).length;
  }

  /** The BMC restarts: it knows nothing of its sessions. */
  restart(): void {
    this.#slots.clear();
  }

  /** @returns the datagrams that go back, in this order */
  hear(datagram: Uint8Array): readonly Uint8Array[] {
    this.heard += 1;
    if (this.lies.isMute || this.#counted("lostRequests")) return [];
    const answer = this.#answer(datagram);
    if (answer === undefined || this.#counted("lostAnswers")) return [];
    if (this.#counted("lateAnswers")) {
      this.#held.push(answer);
      return [];
    }
    const late = this.#held.splice(0);
    return this.lies.everythingTwice ? [...late, answer, ...late, answer] : [...late, answer];
  }

  #counted(lie: "lostRequests" | "lostAnswers" | "lateAnswers" | "busy"): boolean {
    if (this.lies[lie] === 0) return false;
    this.lies[lie] -= 1;
    return true;
  }

  #answer(datagram: Uint8Array): Uint8Array | undefined {
    const packet = decodePacket(datagram);
    if (!packet.ok) return undefined;
    const p = packet.value;
    if (p.kind === "plain") return this.#outside(p.payload);
    switch (p.payloadType) {
      case payloadTypes.openSessionRequest:
        return this.#open(p.payload);
      case payloadTypes.rakp1:
        return this.#prove(p.payload);
      case payloadTypes.rakp3:
        return this.#agree(p.payload);
      case payloadTypes.ipmi:
        return this.#inside(p, (slot, message) => this.#answered(slot, message));
      case payloadTypes.sol:
        return this.#inside(p, (_, message) => this.serial.answer(message), payloadTypes.sol);
      default:
        return undefined;
    }
  }

  #outside(payload: Uint8Array): Uint8Array | undefined {
    const request = decodeRequest(payload);
    if (!request.ok || request.value.command !== 0x38) return undefined;
    const abilities = Uint8Array.of(1, 0x80, 0x04, 0x02, 0, 0, 0, 0);
    return encodePlain(response(request.value, completion.ok, abilities));
  }

  #open(payload: Uint8Array): Uint8Array | undefined {
    const decoded = decodeOpenSessionRequest(payload);
    if (!decoded.ok) return undefined;
    const r = decoded.value;
    const refuse = (status: number): Uint8Array =>
      encodeHandshakePacket(
        payloadTypes.openSessionResponse,
        encodeOpenSessionResponse({ tag: r.tag, status, consoleId: undefined }),
      );
    const suite = this.#setup.suites.find(
      (s) => s.authentication === r.authentication && s.integrity === r.integrity && r.confidentiality === 1,
    );
    if (!suite) return refuse(0x11);
    if (this.#slots.size >= this.#setup.sessionsMax) return refuse(rmcpStatus.tableFull);
    const { consoleId } = r;
    const slot: Slot = {
      bmcId: ++this.#lastId,
      consoleId,
      suite,
      keys: undefined,
      isActive: false,
      sequence: 0,
      window: emptyWindow,
    };
    this.#slots.set(slot.bmcId, slot);
    const answer = { ...suite, tag: r.tag, status: 0 as const, privilege: 4, consoleId, bmcId: slot.bmcId };
    return encodeHandshakePacket(payloadTypes.openSessionResponse, encodeOpenSessionResponse(answer));
  }

  #prove(payload: Uint8Array): Uint8Array | undefined {
    const decoded = decodeRakp1(payload);
    if (!decoded.ok) return undefined;
    const r = decoded.value;
    const slot = this.#slots.get(r.bmcId);
    if (slot?.isActive) return undefined;
    const password = this.#setup.users[new TextDecoder().decode(r.user)];
    if (!slot || password === undefined) {
      if (slot) this.#slots.delete(slot.bmcId);
      const status = slot ? rmcpStatus.unknownUser : rmcpStatus.unknownSession;
      return encodeHandshakePacket(payloadTypes.rakp2, encodeRakp2({ tag: r.tag, status, consoleId: undefined }));
    }
    const filled = new Uint8Array(20);
    filled.set(new TextEncoder().encode(password));
    const bmcRandom = this.#ports.random.bytes(16);
    const { guid } = this.#setup;
    const { crypto } = this.#ports;
    slot.keys = sessionKeys(crypto, { ...slot, ...r, password: filled, bmcRandom, guid });
    const code = this.lies.wrongCode === "rakp2" ? slot.keys.bmcCode.toReversed() : slot.keys.bmcCode;
    const rakp2 = encodeRakp2({ tag: r.tag, status: 0, consoleId: slot.consoleId, bmcRandom, guid, code });
    return encodeHandshakePacket(payloadTypes.rakp2, rakp2);
  }

  #agree(payload: Uint8Array): Uint8Array | undefined {
    const decoded = decodeRakp3(payload);
    if (!decoded.ok) return undefined;
    const { tag, bmcId, code } = decoded.value;
    const refuse = (status: number): Uint8Array =>
      encodeHandshakePacket(payloadTypes.rakp4, encodeRakp4({ tag, status, consoleId: undefined }));
    const slot = this.#slots.get(bmcId);
    if (!slot?.keys) return refuse(rmcpStatus.unknownSession);
    if (!sameCode(code, slot.keys.consoleCode)) {
      if (slot.isActive) return undefined;
      this.#slots.delete(bmcId);
      return refuse(rmcpStatus.wrongCode);
    }
    if (!slot.isActive) this.established += 1;
    slot.isActive = true;
    const agreed = this.lies.wrongCode === "rakp4" ? slot.keys.agreedCode.toReversed() : slot.keys.agreedCode;
    return encodeHandshakePacket(
      payloadTypes.rakp4,
      encodeRakp4({ tag, status: 0, consoleId: slot.consoleId, code: agreed }),
    );
  }

  #inside(
    packet: SessionPacket,
    answerTo: (slot: Slot, message: Uint8Array) => Uint8Array | undefined,
    payloadType: number = payloadTypes.ipmi,
  ): Uint8Array | undefined {
    const slot = this.#slots.get(packet.sessionId);
    if (!slot?.keys || !slot.isActive) return undefined;
    const message = unseal(this.#ports.crypto, slot.keys, packet);
    const window = accepted(slot.window, packet.sequence);
    if (!message.ok || window === undefined) return undefined;
    slot.window = window;
    const answer = answerTo(slot, message.value);
    if (answer === undefined) return undefined;
    const sealed = this.#sealed(slot, slot.keys, answer, payloadType);
    if (this.lies.wrongCode === "packet") sealed[sealed.length - 1] = (sealed.at(-1) ?? 0) ^ 0xff;
    return sealed;
  }

  #answered(slot: Slot, message: Uint8Array): Uint8Array | undefined {
    const request = decodeRequest(message);
    if (!request.ok) return undefined;
    const answer = this.#carryOut(slot, request.value);
    return this.#losesAnswerTo(`${request.value.netFn}/${request.value.command}`) ? undefined : answer;
  }

  #losesAnswerTo(command: string): boolean {
    const left = this.lies.lostAnswersTo.get(command) ?? 0;
    this.lies.lostAnswersTo.set(command, Math.max(0, left - 1));
    return left > 0;
  }

  #carryOut(slot: Slot, request: IpmiRequest): Uint8Array {
    const isClose = request.netFn === 6 && request.command === 0x3c;
    if (!isClose && this.#counted("busy")) return response(request, completion.busy);
    if (isClose) {
      this.#slots.delete(slot.bmcId);
      return response(request, completion.ok);
    }
    const { code, content } = this.chassis.carryOut(request);
    return response(request, code, content);
  }

  #sealed(slot: Slot, keys: SessionKeys, message: Uint8Array, payloadType: number = payloadTypes.ipmi): Uint8Array {
    slot.sequence += 1;
    const header = {
      payloadType,
      sessionId: slot.consoleId,
      sequence: slot.sequence,
      iv: this.#ports.random.bytes(16),
    };
    return seal(this.#ports.crypto, keys, header, message);
  }
}

const response = (request: IpmiRequest, completionCode: number, content: Uint8Array = new Uint8Array()): Uint8Array =>
  encodeResponse({ ...request, netFn: request.netFn + 1, completionCode, content });
