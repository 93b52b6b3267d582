// What people on site do, written down before it is done and again when it has ended, and on its way to central.
// Invariant: an act whose first trace is not durable is not done.
import { create, fromBinary, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { siteTrail } from "#domain/audit/site-trail.ts";
import { AuditPhase, type AuditTrace, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { Refusal } from "#lib/refusal.ts";
import { connectErrorOf } from "#lib/rpc/refusal-to-connect.ts";
import type { Outbox } from "../outbox/outbox.ts";

const table = "site-audit";
const sequenceDigits = 20;

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
  #bytes = 0;
  #sequence = 0n;

  constructor(ports: AuditPorts) {
    this.#ports = ports;
    for (const [key, value] of ports.disk.entries(table)) {
      this.#keep(key, value.length);
      if (/^\d+$/.test(key)) this.#sequence = BigInt(key);
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
      await this.begun(act);
      await this.#failed(act, error);
      throw error;
    }
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
    const text = error instanceof Refusal ? error.message : "internal error; the agent's log has it";
    await this.ended(act, text, [], error instanceof Refusal ? connectErrorOf(error).code : Code.Internal);
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
    const key = `${++this.#sequence}`.padStart(sequenceDigits, "0");
    const value = toBinary(AuditTraceSchema, trace);
    const surplus = this.#surplus(value.length);
    // An id of its own, so that the outbox takes it for a subject of its own and keeps each.
    await outbox.put({ kind: "audit", id: `${trace.uuid}/${trace.phase}`, value, seenMs: clock.wallMs() }, [
      { table, key, value },
      ...surplus.map((old): Change => ({ table, key: old, value: undefined })),
      ...also,
    ]);
    for (const old of surplus) this.#drop(old);
    this.#keep(key, value.length);
  }

  /** The oldest traces that a new one of so many bytes takes the place of. */
  #surplus(bytes: number): readonly string[] {
    const gone: string[] = [];
    let [rows, left] = [this.#rows.size + 1, this.#bytes + bytes];
    for (const [key, length] of this.#rows) {
      if (rows <= siteTrail.traces && left <= siteTrail.bytes) break;
      gone.push(key);
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
