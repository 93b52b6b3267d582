// Takes traces from calls without holding them up: they wait in memory for at most a quarter of a second, and are stored many at a time.
// What waits is lost when the process is killed, and stored when it is stopped.
import type { AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import { Bell, rung } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import { deleteRows, type Retention } from "../store/retention.ts";
import type { State } from "../store/state.ts";
import { bytesKept, outlived, traceId } from "./retention.ts";
import { timeOf } from "./trace.ts";

/** Traces that wait; further ones are lost, and the log says how many. */
export const waitingMax = 10_000;
/** Traces of one commit: of the longest bodies these still fit in. */
const batchMax = 48;
const gatherMs = 250;
const retryMs = 1000;
/** How often it is looked for what is too old. */
const outlivedMs = 600_000;

export interface RecorderPorts {
  readonly state: State;
  readonly clock: Clock;
  readonly log: Log;
  readonly retention: Retention;
  /** Hears of every trace at once. */
  readonly tell?: (trace: AuditTrace) => void;
}

export class Recorder {
  readonly #ports: RecorderPorts;
  readonly #waiting: AuditTrace[] = [];
  readonly #bell = new Bell();
  #running: Promise<void> = Promise.resolve();
  /** Of which the log has not heard yet. */
  #lost = 0;
  #lostInAll = 0;
  #isHeldUp = false;
  #lookMs = Number.NEGATIVE_INFINITY;

  constructor(ports: RecorderPorts) {
    this.#ports = ports;
    ports.state.fold(bytesKept);
  }

  /** Returns at once. */
  record(trace: AuditTrace): void {
    this.#ports.tell?.(trace);
    if (this.#waiting.length >= waitingMax) {
      this.#lost++;
      return;
    }
    this.#waiting.push(trace);
    if (this.#waiting.length === 1 || this.#waiting.length === batchMax) this.#bell.ring();
  }

  /** How it goes. Held up: the last try to store something failed, and it will be tried again. */
  get standing(): { readonly waiting: number; readonly isHeldUp: boolean; readonly lostInAll: number } {
    return { waiting: this.#waiting.length, isHeldUp: this.#isHeldUp, lostInAll: this.#lostInAll + this.#lost };
  }

  /** Stores what comes, and takes away what has been kept long enough, until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    this.#running = this.#run(signal);
    return this.#running;
  }

  /** Stores what still waits: when no more calls can come, and while the state is still there. */
  async finish(): Promise<void> {
    await this.#running;
    if (!(await this.#flush())) this.#lost += this.#waiting.splice(0).length;
    this.#sayLost();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#ports;
    while (!signal.aborted) {
      if (this.#waiting.length === 0) await rung(this.#bell, clock, outlivedMs, signal);
      if (this.#waiting.length > 0 && this.#waiting.length < batchMax) await rung(this.#bell, clock, gatherMs, signal);
      if (signal.aborted) return;
      const isStored = await this.#flush();
      if (isStored) this.#sayLost();
      try {
        if (isStored) await this.#prune(signal);
      } catch (error) {
        log.warn("audit-not-pruned", { error });
      }
      if (!isStored) await clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }

  /** @returns false when the store is away or others were first: what waits is kept, and it is worth to try again */
  async #flush(): Promise<boolean> {
    const { state, log } = this.#ports;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, batchMax);
      try {
        await state.transact((tx) => {
          for (const trace of batch) tx.put(kinds.audit, traceId(timeOf(trace), trace), trace);
        });
      } catch (error) {
        log.warn("audit-not-stored", { traces: batch.length, waiting: this.#waiting.length, error });
        if (error instanceof Refusal && (error.code === "unavailable" || error.code === "conflict")) {
          this.#isHeldUp = true;
          return false;
        }
        // It would fail again, and hold up all that come after it.
        this.#lost += batch.length;
      }
      this.#waiting.splice(0, batch.length);
      this.#isHeldUp = false;
    }
    return true;
  }

  async #prune(signal: AbortSignal): Promise<void> {
    const { state, clock, retention } = this.#ports;
    const nowMs = clock.monotonicMs();
    if (state.folded(bytesKept, "") <= retention.bytesMax && nowMs - this.#lookMs < outlivedMs) return;
    this.#lookMs = nowMs;
    const gone = outlived(state.list(kinds.audit), retention, clock.wallMs());
    await deleteRows(state, kinds.audit, gone, signal);
  }

  #sayLost(): void {
    if (this.#lost === 0) return;
    this.#ports.log.error("audit-traces-lost", { traces: this.#lost });
    this.#lostInAll += this.#lost;
    this.#lost = 0;
  }
}
