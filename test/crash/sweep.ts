// Kills central at one await of a call after the other, and looks each time at what it left and how the next central goes on with it.
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { timeOf } from "#central/audit/trace.ts";
import { kinds } from "#central/store/kinds.ts";
import type { State } from "#central/store/state.ts";
import { AuditPhase } from "#gen/metalstack/api/v2/audit_pb.ts";
import { answerId } from "#lib/rpc/idempotency-key.ts";
import { type About, type Deed, inWords } from "./deeds.ts";
import { type AgentMemory, Hands } from "./hands.ts";
import { type House, user } from "./house.ts";
import type { Killable, Last } from "./killable.ts";
import { nextAwait } from "./next-await.ts";
import { type Standing, standingIn } from "./standing.ts";

/** Traces of the calls before are stored within this, and do not stand between the awaits of the call. */
const quietMs = 400;

export interface Swept {
  /** That the call has when nobody is killed, to the last of its traces. */
  readonly awaits: number;
  /** By the await that central died before. */
  readonly found: ReadonlyMap<number, Found>;
}

export interface Found {
  /** What is done of the call. */
  readonly what: string;
  /** What the caller and the audit know of it. */
  readonly told: string;
}

export interface Extent {
  /** See `nextAwait`; Infinity: every await, until the call ends by itself. */
  readonly spread: number;
  /** After this nothing is looked at more closely than `spread` says. */
  readonly closelyMs: number;
}

/** @param progress told after each await that central was killed at */
export async function sweep(
  house: House,
  deed: Deed,
  { spread, closelyMs }: Extent,
  progress: (done: number, awaits: number) => void = () => {},
): Promise<Swept> {
  const begunMs = Date.now();
  const rounds = await Rounds.begun(house, deed);
  try {
    const { awaits = 0 } = await rounds.round(0);
    assert.ok(awaits > 0, `central died of itself: ${deed.name}`);
    const next = () => nextAwait(rounds.what(), { awaits, spread, isClosely: Date.now() - begunMs < closelyMs });
    const round = async (at: number) => {
      const last = await rounds.round(at);
      progress(rounds.found.size, awaits);
      return last;
    };
    for (let at = next(); at !== undefined; at = next()) await round(at);
    for (let at = awaits + 1, isOver = spread < awaits; !isOver; at++) isOver = (await round(at)).awaits !== undefined;
    await rounds.end();
    return { awaits, found: rounds.found };
  } finally {
    await rounds.stop();
  }
}

class Rounds {
  readonly found = new Map<number, Found>();
  readonly #house: House;
  readonly #deed: Deed;
  readonly #agent: AgentMemory = { sequence: 0n, epochs: new Map() };
  #central: Killable;

  static async begun(house: House, deed: Deed): Promise<Rounds> {
    const rounds = new Rounds(house, deed, await house.start());
    rounds.#agent.sequence = BigInt(Date.now());
    return rounds;
  }

  private constructor(house: House, deed: Deed, central: Killable) {
    this.#house = house;
    this.#deed = deed;
    this.#central = central;
    for (const { uuid, epoch } of house.machines) this.#agent.epochs.set(uuid, epoch);
  }

  async round(killAt: number): Promise<Last> {
    const key = `${this.#deed.name.replaceAll(" ", "-")}-${killAt}`;
    try {
      const hands = () => new Hands(this.#house, this.#central, this.#agent);
      const about = { key, id: await this.#deed.prepare(hands(), `before-${key}`) };
      await delay(quietMs);
      const sinceMs = Date.now();
      const last = await this.#central.last(killAt, (headers) => this.#deed.call(hands(), about, headers));
      const found = await this.#house.look((state) => this.#found(state, { about, last, killAt, sinceMs }));
      this.#central = await this.#house.start();
      await this.#deed.again(hands(), about, found);
      return last;
    } catch (error) {
      throw new Error(`${this.#deed.name}, killed at await ${killAt}: ${(error as Error).message}`, { cause: error });
    }
  }

  async #found(state: State, { about, last, killAt, sinceMs }: Ended): Promise<Standing> {
    assert.equal(state.history, this.#house.history, "central takes its own store for a copy");
    for (const { value } of state.list(kinds.machineDesired)) this.#agent.epochs.set(value.uuid, value.epoch);
    const standing = standingIn(state, this.#house.ground);
    const words = inWords(standing);
    const { before, between = before, after, isKeyed, method } = this.#deed;
    assert.ok([before, between, after].includes(words), `that was left behind: ${words}`);
    const isAnswered = last.error === undefined;
    if (isAnswered) assert.equal(words, after, "it was answered, and is not done");
    if (last.awaits !== undefined) assert.ifError(last.error);
    const isKept = state.get(kinds.keptAnswer, await answerId(user, method, about.key)) !== undefined;
    assert.equal(isKept, isKeyed && words === after, "an answer is kept for what is done, and for nothing else");
    const told = `${isAnswered ? "answered" : "no answer"}, ${tracesOf(state, method, sinceMs)}`;
    if (killAt > 0) this.found.set(killAt, { what: words, told });
    return standing;
  }

  what(): Map<number, string> {
    return new Map([...this.found].map(([at, { what }]) => [at, what]));
  }

  async end(): Promise<void> {
    await this.#central.kill();
    assert.equal(inWords(await this.#house.look((state) => standingIn(state, this.#house.ground))), "nothing");
  }

  stop(): Promise<void> {
    return this.#central.kill();
  }
}

interface Ended {
  readonly about: About;
  readonly last: Last;
  readonly killAt: number;
  readonly sinceMs: number;
}

/** What the audit has of the call, in words. An end without a beginning would tell of what nobody has asked. */
function tracesOf(state: State, method: string, sinceMs: number): string {
  const traces = state.list(kinds.audit).map(({ value }) => value);
  const begun = new Set(traces.flatMap(({ uuid, phase }) => (phase === AuditPhase.REQUEST ? [uuid] : [])));
  for (const { uuid } of traces)
    assert.ok(begun.has(uuid), `the audit has the end of call ${uuid}, and not its beginning`);
  const own = traces.filter((trace) => trace.method === method && timeOf(trace) >= sinceMs).length;
  return ["not traced", "begin traced", "traced"][own] ?? `${own} traces`;
}
