// What people on site do, written down before it is done and again when it has ended, and on its way to central.
// Invariants: an act whose first trace is not durable is not done; what is refused is written down as well.
import { create, fromBinary, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { isOfStranger, siteTrail } from "#domain/audit/site-trail.ts";
import { AuditPhase, type AuditTrace, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Change, Disk } from "#lib/disk.ts";
import { hourMs } from "#lib/durations.ts";
import type { Log } from "#lib/log.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { Refusal } from "#lib/refusal.ts";
import { RefusedBound } from "#lib/refused-bound.ts";
import { connectErrorOf } from "#lib/rpc/refusal-to-connect.ts";
import type { Outbox } from "../outbox/outbox.ts";

const table = "site-audit";
/** Attempts that are written down of those who may not act at all. */
const refusedBounds = { windowMs: hourMs, source: 20, all: 60 } as const;
const sequenceDigits = 20;
/** Behind the sequence in the key of a stranger's trace. */
const strangersMark = "?";

/** One thing that a person has asked for. */
export interface Act {
  /** The same for both of its traces. */
  readonly id: string;
  readonly user: string;
  readonly address: string;
  /** Full name, such as `/holdfast.site.v1.SiteService/RotateToken`. */
  readonly method: string;
  readonly body: JsonObject;
}

export interface AuditPorts {
  readonly disk: Disk;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Log;
}

export class AuditTrail {
  readonly #ports: AuditPorts;
  /** Bytes of each trace by its key, oldest first. */
  readonly #rows = new Map<string, number>();
  readonly #bound = new RefusedBound(refusedBounds);
  #bytes = 0;
  #sequence = 0n;

  constructor(ports: AuditPorts) {
    this.#ports = ports;
    for (const [key, value] of ports.disk.entries(table)) {
      this.#keep(key, value.length);
      const [digits] = /^\d+/.exec(key) ?? [];
      if (digits !== undefined) this.#sequence = BigInt(digits);
    }
  }

  /** Does something that one call begins and ends. */
  async acting<T>(act: Act, work: () => Promise<T>): Promise<T> {
    await this.begun(act);
    try {
      const result = await work();
      await this.ended(act, "");
      return result;
    } catch (error) {
      await this.#failed(act, error);
      throw error;
    }
  }

  /** Checks what comes before an act; what is refused there is written down as an act that was refused. */
  async checking<T>(act: Act, check: () => T): Promise<T> {
    try {
      return check();
    } catch (error) {
      await this.refused(act, error);
      throw error;
    }
  }

  /** Writes down what was refused before anybody acted. @throws as `begun` */
  async refused(act: Act, error: unknown): Promise<void> {
    await this.begun(act);
    await this.#failed(act, error);
  }

  /** The same for who may not act at all, within a bound: whoever comes again and again cannot fill the trail. */
  async turnedAway(act: Act, error: unknown): Promise<void> {
    const { clock, log } = this.#ports;
    if (!this.#bound.admits(act.user || act.address, clock.monotonicMs())) return;
    const acts = this.#bound.takeLeftOut();
    if (acts > 0) log.warn("audit-refused-acts-left-out", { acts });
    await this.refused(act, error);
  }

  /**
   * Resolves when it is durable that somebody is about to act.
   * @param also written together with it
   * @throws Refusal "unavailable" when it cannot be written: then nothing may be done
   */
  async begun(act: Act, also: readonly Change[] = []): Promise<void> {
    try {
      await this.#note(this.#traceOf(act, AuditPhase.REQUEST), also);
    } catch (error) {
      this.#ports.log.error("audit-not-written", { method: act.method, user: act.user, error });
      const text = reasonOf(error);
      throw new Refusal("unavailable", `it could not be written down, so it was not done: ${text}`, {
        reason: "AUDIT_NOT_DURABLE",
      });
    }
  }

  /** @param error why it was not done; empty when it was */
  async ended(act: Act, error: string, also: readonly Change[] = [], code = error === "" ? 0 : Code.Aborted) {
    const body = error === "" ? act.body : { ...act.body, error };
    const trace = this.#traceOf({ ...act, body }, AuditPhase.RESPONSE);
    trace.resultCode = code;
    await this.#note(trace, also);
  }

  /** Newest first. */
  newest(limit: number): readonly AuditTrace[] {
    const keys = [...this.#rows.keys()].slice(-limit).reverse();
    return keys.flatMap((key) => this.#read(key) ?? []);
  }

  async #failed(act: Act, error: unknown): Promise<void> {
    const { rawMessage, code } = toldOf(error);
    await this.ended(act, rawMessage, [], code);
  }

  #traceOf({ id, user, address, method, body }: Act, phase: AuditPhase): AuditTrace {
    return create(AuditTraceSchema, {
      uuid: id,
      timestamp: timestampFromMs(this.#ports.clock.wallMs()),
      user,
      method,
      body: JSON.stringify(body),
      sourceIp: address,
      phase,
    });
  }

  async #note(trace: AuditTrace, also: readonly Change[]): Promise<void> {
    const { outbox, clock } = this.#ports;
    const digits = `${++this.#sequence}`.padStart(sequenceDigits, "0");
    const key = isOfStranger(trace) ? `${digits}${strangersMark}` : digits;
    const value = toBinary(AuditTraceSchema, trace);
    const surplus = this.#surplus(key, value.length);
    // An id of its own, so that the outbox takes it for a subject of its own and keeps each.
    await outbox.put({ kind: "audit", id: `${trace.uuid}/${trace.phase}`, value, seenMs: clock.wallMs() }, [
      { table, key, value },
      ...Array.from(surplus, (old): Change => ({ table, key: old, value: undefined })),
      ...also,
    ]);
    for (const old of surplus) this.#drop(old);
    this.#keep(key, value.length);
  }

  /** The oldest traces that a new one of so many bytes takes the place of; a stranger's takes that of another stranger's first. */
  #surplus(key: string, bytes: number): ReadonlySet<string> {
    const strangers = isStrangers(key) ? [...this.#rows.keys()].filter(isStrangers) : [];
    const gone = new Set(strangers.slice(0, Math.max(0, strangers.length + 1 - siteTrail.strangers)));
    let [rows, left] = [this.#rows.size + 1 - gone.size, this.#bytes + bytes];
    for (const old of gone) left -= this.#rows.get(old) ?? 0;
    for (const [old, length] of this.#rows) {
      if (rows <= siteTrail.traces && left <= siteTrail.bytes) break;
      if (gone.has(old)) continue;
      gone.add(old);
      rows--;
      left -= length;
    }
    return gone;
  }

  #keep(key: string, length: number): void {
    this.#rows.set(key, length);
    this.#bytes += length;
  }

  #drop(key: string): void {
    this.#bytes -= this.#rows.get(key) ?? 0;
    this.#rows.delete(key);
  }

  #read(key: string): AuditTrace | undefined {
    const bytes = this.#ports.disk.get(table, key);
    try {
      return bytes && fromBinary(AuditTraceSchema, bytes);
    } catch (error) {
      this.#ports.log.error("audit-trace-damaged", { key, error });
      return undefined;
    }
  }
}

const isStrangers = (key: string): boolean => key.endsWith(strangersMark);

/** What the caller is told of it, and so the trail. */
function toldOf(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof Refusal) return connectErrorOf(error);
  return new ConnectError("internal error; the agent's log has it", Code.Internal);
}
