// One BMC, seen as a queue of commands. Kept here: at most one session, one command at a time, a pause between commands,
// and every session that stands is closed, whatever happens.
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { type Command, closeSession, setSessionPrivilege } from "./commands.ts";
import { completion, completionText } from "./completion-code.ts";
import type { BmcCrypto } from "./crypto.ts";
import { BmcError, BmcMisbehaved, BmcRefused, BmcUnreachable } from "./errors.ts";
import { Exchange, type Retransmission, Silence } from "./exchange.ts";
import type { IpmiResponse } from "./ipmi-message.ts";
import { Session } from "./session.ts";
import { checkAbilities, establish, type Login } from "./session-opener.ts";
import type { BmcAddress, BmcTransport } from "./transport.ts";

export interface ConnectionPorts {
  readonly transport: BmcTransport;
  readonly crypto: BmcCrypto;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of what comes from the serial console, where that was activated. */
  readonly onSerial?: (payload: Uint8Array) => void;
}

export interface ConnectionLimits {
  /** One operation, with the session that it may have to open first. */
  readonly operationMs: number;
  readonly retransmission: Retransmission;
  /** Least time from the end of a command to the start of the next. */
  readonly gapMs: number;
  /**
   * Least wait before a command that must not be carried out twice is repeated. The repeat is the identical packet, which
   * the specification lets a BMC drop, but some carry it out again: so they get the time to answer the first.
   */
  readonly onceMs: number;
  /** A session that had been idle is given up after this silence, and opened anew. */
  readonly staleMs: number;
  /** Pause before a busy BMC is asked again. */
  readonly busyMs: number;
  /** Longest wait for the answer to Close Session. */
  readonly closeMs: number;
}

export const usualLimits: ConnectionLimits = {
  operationMs: 15_000,
  retransmission: { firstMs: 1000, longestMs: 4000 },
  gapMs: 20,
  onceMs: 5000,
  staleMs: 3000,
  busyMs: 500,
  closeMs: 1000,
};

interface Line {
  readonly exchange: Exchange;
  readonly session: Session;
  /** Answered a command since it was last idle. */
  isFresh: boolean;
}

/** Not for use by two at a time: `run` must be awaited before the next call. */
export class Connection {
  readonly #ports: ConnectionPorts;
  readonly #limits: ConnectionLimits;
  readonly #address: BmcAddress;
  readonly #login: Login;
  #suites: readonly CipherSuite[];
  #isAble = false;
  #line: Line | undefined;
  #quietFromMs = 0;
  /** The command that went out last. */
  #asked: Command<unknown> | undefined;

  constructor(
    ports: ConnectionPorts,
    target: { readonly address: BmcAddress; readonly login: Login; readonly suites: readonly CipherSuite[] },
    limits: ConnectionLimits,
  ) {
    this.#ports = ports;
    this.#limits = limits;
    this.#address = target.address;
    this.#login = target.login;
    this.#suites = target.suites;
  }

  get hasSession(): boolean {
    return this.#line !== undefined;
  }

  /** The managed system's GUID as the last handshake told it. */
  get guid(): Uint8Array | undefined {
    return this.#line?.session.guid;
  }

  /** The session may have gone stale from here on. */
  rest(): void {
    if (this.#line) this.#line.isFresh = false;
  }

  /** @param deadlineMs on Clock.monotonicMs */
  async run<T>(command: Command<T>, deadlineMs: number, signal?: AbortSignal): Promise<T> {
    this.#asked = undefined;
    try {
      const line = this.#line ?? (await this.#open(deadlineMs, signal));
      return await this.#runOn(line, command, deadlineMs, signal);
    } catch (error) {
      throw this.#explained(command, error);
    }
  }

  async #runOn<T>(line: Line, command: Command<T>, deadlineMs: number, signal?: AbortSignal): Promise<T> {
    const mayReopen = !line.isFresh && command.repeat === "harmless";
    const patienceMs = mayReopen ? this.#ports.clock.monotonicMs() + this.#limits.staleMs : deadlineMs;
    try {
      return await this.#command(line, command, Math.min(deadlineMs, patienceMs), signal);
    } catch (error) {
      if (error instanceof BmcError || signal?.aborted) throw error;
      this.#abandon(line);
      if (!mayReopen || !(error instanceof Silence) || this.#ports.clock.monotonicMs() >= deadlineMs) throw error;
    }
    return this.#command(await this.#open(deadlineMs, signal), command, deadlineMs, signal);
  }

  /** Sent once; lost when there is no session. */
  sendSerial(payload: Uint8Array): void {
    if (!this.#line) return;
    const { session, exchange } = this.#line;
    exchange.socket?.send(session.serialPacket(payload, this.#ports.random.bytes(16)));
  }

  /** Sends one command until it is answered, and again while the BMC is busy. */
  async #command<T>(line: Line, command: Command<T>, deadlineMs: number, signal?: AbortSignal): Promise<T> {
    for (;;) {
      const response = await this.#respond(line, command, deadlineMs, signal);
      line.isFresh = true;
      const code = response.completionCode;
      const isLate = this.#ports.clock.monotonicMs() + this.#limits.busyMs >= deadlineMs;
      if (code === completion.busy && !isLate) {
        await this.#ports.clock.sleep(this.#limits.busyMs, signal);
        continue;
      }
      if (code !== completion.ok) {
        const text = completionText(code, command.codes);
        throw new BmcRefused(this.#login.address, command.name, { completionCode: code, text });
      }
      const decoded = command.decode(response.content);
      if (decoded.ok) return decoded.value;
      throw new BmcMisbehaved(this.#login.address, command.name, `${decoded.error}; update its firmware`);
    }
  }

  async #respond(
    line: Line,
    command: Command<unknown>,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<IpmiResponse> {
    const { clock, random } = this.#ports;
    const gap = this.#quietFromMs + this.#limits.gapMs - clock.monotonicMs();
    if (gap > 0) await clock.sleep(gap, signal);
    const request = line.session.nextRequest();
    let packet: Uint8Array | undefined;
    const datagram = (): Uint8Array => {
      this.#asked = command;
      if (packet === undefined || command.repeat === "harmless")
        packet = line.session.packet(command, request, random.bytes(16));
      return packet;
    };
    const answer = (d: Uint8Array): IpmiResponse | undefined => {
      const response = line.session.response(command, request, d);
      // A BMC that notices our repeat says so at once; the answer itself is still to come.
      return response.ok && response.value.completionCode !== completion.duplicate ? response.value : undefined;
    };
    try {
      const patienceMs = command.repeat === "once" ? this.#limits.onceMs : 0;
      return await line.exchange.ask({ datagram, answer, deadlineMs, patienceMs }, signal);
    } finally {
      this.#quietFromMs = clock.monotonicMs();
    }
  }

  async #open(deadlineMs: number, signal?: AbortSignal): Promise<Line> {
    const exchange = new Exchange(this.#ports.clock, this.#ports.random, this.#limits.retransmission);
    const onDatagram = (datagram: Uint8Array): void => {
      const serial = this.#ports.onSerial && line?.session.serialPayload(datagram);
      if (serial?.ok) this.#ports.onSerial?.(serial.value);
      else exchange.onDatagram(datagram);
    };
    let line: Line | undefined;
    const listener = { onDatagram, onError: (error: Error) => exchange.onError(error) };
    exchange.socket = await this.#ports.transport.open(this.#address, listener);
    try {
      const ports = { ...this.#ports, exchange };
      if (!this.#isAble) await checkAbilities(ports, this.#login, deadlineMs, signal);
      this.#isAble = true;
      const established = await establish(ports, this.#login, this.#suites, deadlineMs, signal);
      this.#suites = [established.keys.suite, ...this.#suites.filter((s) => s !== established.keys.suite)];
      line = { exchange, session: new Session(this.#ports.crypto, established), isFresh: true };
      this.#line = line;
      await this.#command(line, setSessionPrivilege(this.#login.privilege), deadlineMs, signal);
      return line;
    } catch (error) {
      this.#isAble = false;
      if (line) await this.close();
      else exchange.socket.close();
      throw error;
    }
  }

  /** Closes the session, if there is one, and waits for the BMC to say so, but not long. Never throws. */
  async close(): Promise<void> {
    const line = this.#line;
    if (line === undefined) return;
    this.#line = undefined;
    try {
      const deadlineMs = this.#ports.clock.monotonicMs() + this.#limits.closeMs;
      await this.#respond(line, closeSession(line.session.bmcId), deadlineMs);
    } catch {
      // The BMC did not answer; it drops the session by itself after 60 s of silence (IPMI 2.0 §6.12.15).
    } finally {
      line.exchange.socket?.close();
    }
  }

  /** After silence: one Close Session goes out, and nobody waits for the answer. */
  #abandon(line: Line): void {
    if (this.#line === line) this.#line = undefined;
    const { session, exchange } = line;
    const command = closeSession(session.bmcId);
    exchange.socket?.send(session.packet(command, session.nextRequest(), this.#ports.random.bytes(16)));
    exchange.socket?.close();
  }

  #explained(command: Command<unknown>, error: unknown): unknown {
    const isNetwork = error instanceof Error && "syscall" in error;
    if (!(error instanceof Silence) && !isNetwork) return error;
    const maybeDone = command.repeat === "once" && this.#asked === command;
    const what = maybeDone
      ? "it may have been carried out; read the power state before you repeat it"
      : "check that it has power, its address, its cable, and that IPMI over LAN is enabled";
    return new BmcUnreachable(this.#login.address, command.name, { text: `${error.message}; ${what}`, maybeDone });
  }
}
