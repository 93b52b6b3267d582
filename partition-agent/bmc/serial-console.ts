// A server's serial console through its BMC (Serial over LAN), in a session of its own.
// Kept here: one packet at a time is on its way to the BMC; what the BMC sent is acknowledged once, and shown once.
import { Bell, rung } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import { OneByOne } from "#lib/one-by-one.ts";
import { activateSerial, type Command, deactivateSerial, getSerialOwner } from "./commands.ts";
import type { Connection } from "./connection.ts";
import { BmcRefused, BmcUnreachable } from "./errors.ts";
import { decodeSol, encodeSol, heard, nothingHeard, type SolPacket, solFlags } from "./sol.ts";

const operationMs = 15_000;
const repeatMs = 1_000;
/** Characters are given up when none was taken for so long. */
const patienceMs = 15_000;
/** Not yet read by whoever looks on; above it the BMC is let wait. */
const unreadMax = 256 * 1024;
const packetCharactersMax = 200;

export interface ConsoleOptions {
  /** Ends the console of whoever has it. */
  readonly takeOver: boolean;
}

export interface SerialConsolePorts {
  /** One that nobody else uses; its serial payloads go to `take`. */
  readonly connection: Connection;
  readonly clock: Clock;
  /** For error texts. */
  readonly address: string;
  /** How often the BMC is asked who has the console, milliseconds; one that hears nothing for 60 s drops the session. */
  readonly aliveMs: number;
  readonly closed: () => void;
}

export interface ServerConsole {
  /** What the server says, until it or the BMC ends. @throws when the console is lost; the signal ends it in silence */
  output(signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Resolves when the BMC has taken all of it. */
  write(characters: Uint8Array): Promise<void>;
  /** The serial line's break, with which Linux begins a SysRq. */
  sendBreak(): Promise<void>;
  close(): Promise<void>;
}

export class SerialConsole implements ServerConsole {
  readonly #ports: SerialConsolePorts;
  readonly #bell = new Bell();
  readonly #closing = new AbortController();
  #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #last = nothingHeard;
  #sequence = 0;
  #answer: SolPacket | undefined;
  readonly #sending = new OneByOne();
  #charactersMax = packetCharactersMax;
  #hasEnded = false;
  #lost: unknown;
  #alive: Promise<void> | undefined;

  constructor(ports: SerialConsolePorts) {
    this.#ports = ports;
  }

  /** @throws BmcRefused when somebody else has the console, or the BMC offers none */
  async open({ takeOver }: ConsoleOptions, signal?: AbortSignal): Promise<this> {
    try {
      if (takeOver) await this.#ask(deactivateSerial, signal).catch(undefinedIfRefused);
      const { charactersMax } = await this.#ask(activateSerial, signal);
      if (charactersMax > 0) this.#charactersMax = Math.min(charactersMax, packetCharactersMax);
      this.#alive = this.#stayAlive(await this.#owner(signal));
      return this;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #ask<T>(command: Command<T>, signal?: AbortSignal): Promise<T> {
    const { connection, clock } = this.#ports;
    return connection.run(command, clock.monotonicMs() + operationMs, signal);
  }

  /** Undefined where the BMC does not tell. */
  #owner(signal?: AbortSignal): Promise<number | undefined> {
    return this.#ask(getSerialOwner, signal).catch(undefinedIfRefused);
  }

  /** A serial payload that arrived. */
  take(payload: Uint8Array): void {
    const decoded = decodeSol(payload);
    if (!decoded.ok) return;
    const packet = decoded.value;
    if (packet.acknowledged !== 0) this.#answer = packet;
    if (packet.flags & solFlags.ended) this.#hasEnded = true;
    if (packet.sequence !== 0 && this.#unreadBytes < unreadMax) this.#hear(packet);
    this.#bell.ring();
  }

  #hear(packet: SolPacket): void {
    const { last, fresh } = heard(this.#last, packet);
    this.#last = last;
    if (fresh.length > 0) this.#unread.push(fresh.slice());
    this.#unreadBytes += fresh.length;
    const { sequence: acknowledged, characters } = packet;
    this.#send({ sequence: 0, acknowledged, accepted: characters.length, flags: 0, characters: new Uint8Array() });
  }

  async *output(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const over = linkedSignal(signal, this.#closing.signal);
    try {
      while (!over.signal.aborted) {
        const rung = this.#bell.wait(over.signal);
        const unread = this.#unread.splice(0);
        this.#unreadBytes = 0;
        yield* unread;
        if (this.#lost !== undefined) throw this.#lost;
        if (this.#hasEnded) return;
        if (unread.length === 0) await rung;
      }
    } finally {
      over.unlink();
    }
  }

  write(characters: Uint8Array): Promise<void> {
    return this.#sending.run(async () => {
      for (let at = 0; at < characters.length; )
        at += await this.#deliver(characters.subarray(at, at + this.#charactersMax), 0);
    });
  }

  sendBreak(): Promise<void> {
    return this.#sending.run(async () => void (await this.#deliver(new Uint8Array(), solFlags.break)));
  }

  /** Sends one packet until it is acknowledged. @returns how many of its characters were taken */
  async #deliver(characters: Uint8Array, flags: number): Promise<number> {
    const { signal } = this.#closing;
    const untilMs = this.#ports.clock.monotonicMs() + patienceMs;
    this.#sequence = (this.#sequence % 15) + 1;
    for (;;) {
      signal.throwIfAborted();
      if (this.#lost !== undefined) throw this.#lost;
      if (this.#hasEnded) throw this.#unreachable("the BMC has ended the console");
      this.#answer = undefined;
      this.#send({ sequence: this.#sequence, acknowledged: 0, accepted: 0, flags, characters });
      await this.#answered();
      const answer = this.#answer as SolPacket | undefined;
      const isTaken = answer?.acknowledged === this.#sequence && !(answer.flags & solFlags.notAcknowledged);
      if (isTaken && (characters.length === 0 || answer.accepted > 0))
        return Math.min(answer.accepted, characters.length);
      if (this.#ports.clock.monotonicMs() >= untilMs)
        throw this.#unreachable(`no character was taken in ${patienceMs} ms; the server may not read its serial port`);
      if (answer) await this.#ports.clock.sleep(repeatMs, signal);
    }
  }

  async #answered(): Promise<void> {
    const untilMs = this.#ports.clock.monotonicMs() + repeatMs;
    const { signal } = this.#closing;
    while (this.#answer?.acknowledged !== this.#sequence && !signal.aborted && !this.#hasEnded) {
      const leftMs = untilMs - this.#ports.clock.monotonicMs();
      if (leftMs <= 0) return;
      await rung(this.#bell, this.#ports.clock, leftMs, signal);
    }
  }

  #send(packet: SolPacket): void {
    this.#ports.connection.sendSerial(encodeSol(packet));
  }

  /** Asks the BMC now and then who has the console: silence on the serial line is no sign of anything. */
  async #stayAlive(own: number | undefined): Promise<void> {
    const { signal } = this.#closing;
    try {
      for (;;) {
        await this.#ports.clock.sleep(this.#ports.aliveMs, signal);
        const owner = await this.#owner(signal);
        if (owner !== own) throw this.#unreachable("somebody else has taken the console, or the BMC has ended it");
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#lost = error;
      this.#bell.ring();
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(this.#unreachable("it is being closed"));
    await this.#alive;
    if (this.#alive && this.#ports.connection.hasSession && !this.#hasEnded) {
      const deadlineMs = this.#ports.clock.monotonicMs() + repeatMs;
      await this.#ports.connection.run(deactivateSerial, deadlineMs).catch(() => undefined); // the session's end ends it, too
    }
    await this.#ports.connection.close();
    this.#ports.closed();
  }

  #unreachable(text: string): BmcUnreachable {
    return new BmcUnreachable(this.#ports.address, "console", { text });
  }
}

const undefinedIfRefused = (error: unknown): undefined => {
  if (!(error instanceof BmcRefused)) throw error;
};
