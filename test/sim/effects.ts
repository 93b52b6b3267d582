// Invariants 9, 11, 15 and 17: what agents do to machines and their BMCs.
import type { Judge } from "./judge.ts";

const effectsAnHourMax = 120;
const minuteMs = 60_000;
/** Of one machine, in the first minute after the link was up again. */
const effectsOfReturnMax = 20;
/** Of one agent to one BMC. */
const requestsAMinuteMax = 60;

/** What people order of a BMC is carried out by whoever has the order; it is marked as done under its id. */
const harmless: readonly string[] = ["refuse-order", "carry-out-order"];

export class Effects {
  readonly #judge: Judge;
  readonly #effects = new Map<string, number[]>();
  /** What was done under which id. */
  readonly #operations = new Map<string, string>();
  /** When the agent's link was up last, by partition (virtual milliseconds), and what was done since to each machine, by uuid. */
  readonly #returns = new Map<string, { readonly atMs: number; readonly effects: Map<string, number> }>();
  /** Requests of the minute that began then, by BMC and life of an agent. */
  readonly #requests = new Map<string, { readonly sinceMs: number; count: number }>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** An effect begins under its id; an order that is tried again keeps that. */
  onOperation(id: string, what: string, isOrder: boolean): void {
    const before = this.#operations.get(id);
    this.#judge.checked();
    if (before !== undefined && !(isOrder && before === what))
      this.#judge.fail(9, `${what} has the id ${id} of ${before}`);
    this.#operations.set(id, what);
  }

  /**
   * An effect on a machine; more of them than an hour has room for are a loop.
   * @param epoch under which it was ordered or decided
   * @param known epoch that the agent knows the machine to be at
   */
  onEffect(uuid: string, effect: string, epoch: string, known: bigint | undefined): void {
    const nowMs = this.#judge.seen.nowMs();
    if (effect !== "refuse-order" && known !== undefined && epoch !== `${known}`)
      this.#judge.fail(9, `${effect} of machine ${uuid} is of epoch ${epoch}, which is at ${known}`);
    const recent = [...(this.#effects.get(uuid) ?? []).filter((atMs) => nowMs - atMs < 3_600_000), nowMs];
    this.#effects.set(uuid, recent);
    this.#judge.checked();
    if (recent.length > effectsAnHourMax)
      this.#judge.fail(15, `machine ${uuid}: ${recent.length} effects within an hour`);
  }

  onLinkUp(partition: string): void {
    this.#returns.set(partition, { atMs: this.#judge.seen.nowMs(), effects: new Map() });
  }

  /** An agent begins to do something to a machine. */
  onEffectOf(partition: string, uuid: string): void {
    const back = this.#returns.get(partition);
    if (!back || this.#judge.seen.nowMs() - back.atMs > minuteMs) return;
    const count = (back.effects.get(uuid) ?? 0) + 1;
    back.effects.set(uuid, count);
    this.#judge.checked();
    if (count > effectsOfReturnMax)
      this.#judge.fail(15, `machine ${uuid}: ${count} effects in the minute after the link was up again`);
  }

  /** An order is about to be carried out. @param lateMs how long its deadline has passed, by the clock of whoever gave it; negative before */
  onOrder(id: string, lateMs: number): void {
    this.#judge.checked();
    if (lateMs > 0) this.#judge.fail(9, `order ${id} is carried out ${lateMs} ms after its deadline`);
  }

  /** An order of central's is refused. @param leftMs until its deadline, by the clock of whoever gave it; negative after */
  onRefusedOrder(id: string, leftMs: number): void {
    this.#judge.checked();
    if (leftMs > 0) this.#judge.fail(9, `order ${id} is refused ${leftMs} ms before its deadline`);
  }

  /** @param sessions that the life of an agent has with the BMC by now */
  onSession(bmc: string, life: string, sessions: number): void {
    this.#judge.checked();
    if (sessions > 1) this.#judge.fail(11, `${life} has ${sessions} sessions with ${bmc}`);
  }

  /** The life of an agent asks something of a BMC. */
  onRequest(bmc: string, life: string): void {
    const key = `${bmc} ${life}`;
    const nowMs = this.#judge.seen.nowMs();
    const known = this.#requests.get(key);
    const minute = known && nowMs - known.sinceMs < minuteMs ? known : { sinceMs: nowMs, count: 0 };
    minute.count++;
    this.#requests.set(key, minute);
    this.#judge.checked();
    if (minute.count > requestsAMinuteMax)
      this.#judge.fail(11, `${life} asks ${bmc} ${minute.count} times within a minute`);
  }

  /** A copy of the agent does something while the agent itself is connected. */
  onCopyActs(effect: string): void {
    this.#judge.checked();
    if (!harmless.includes(effect)) this.#judge.fail(17, `a copy of the agent does ${effect} beside it`);
  }
}
