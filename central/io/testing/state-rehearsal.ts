// A state over a store in memory that can be taken away, on virtual time: what the tests of the state begin from.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import type { Log, LogFields } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { type ChangeBatch, isOf } from "../../store/cache.ts";
import { kinds } from "../../store/kinds.ts";
import { MemoryStore } from "../../store/memory-store.ts";
import { openState, type State } from "../../store/state.ts";
import {
  type Batch,
  type Commit,
  type Committed,
  type Listing,
  type Store,
  StoreUnavailable,
} from "../../store/store.ts";

export const { project: kind } = kinds;
export const project = (name: string, more: MessageInitShape<typeof ProjectSchema> = {}) =>
  create(ProjectSchema, { ...more, name });
export const encoded = (name: string) => toBinary(ProjectSchema, project(name));
export const raw = (key: string, value: Uint8Array): Commit => ({
  conditions: [],
  puts: [{ key, value }],
  deletes: [],
});
export const unreadable = new Uint8Array([0xff, 0xff, 0xff]);

/** A store that a test can take away, swap, hold back or get ahead of. */
export class UnreliableStore implements Store {
  inner: Store;
  isAway = false;
  /** May answer in the store's place. */
  beforeCommit: () => Promise<Committed | undefined> = async () => undefined;
  lists = 0;
  #cut = new AbortController();

  constructor(inner: Store) {
    this.inner = inner;
  }

  /** Ends the watches that run now with an error. */
  cut(): void {
    this.#cut.abort();
    this.#cut = new AbortController();
  }

  history(): Promise<string> {
    this.#check();
    return this.inner.history();
  }

  read(key: string) {
    this.#check();
    return this.inner.read(key);
  }

  list(prefix: string): Promise<Listing> {
    this.#check();
    this.lists++;
    return this.inner.list(prefix);
  }

  async *watch(wanted: { readonly prefix: string; readonly after: bigint }, signal: AbortSignal): AsyncIterable<Batch> {
    this.#check();
    const cut = this.#cut.signal;
    yield* this.inner.watch(wanted, AbortSignal.any([signal, cut]));
    if (cut.aborted) throw new StoreUnavailable("the test's store is cut off");
  }

  async commit(commit: Commit): Promise<Committed> {
    this.#check();
    return (await this.beforeCommit()) ?? this.inner.commit(commit);
  }

  async compact(revision: bigint): Promise<void> {
    await this.inner.compact(revision);
  }

  async close(): Promise<void> {
    await this.inner.close();
  }

  #check(): void {
    if (this.isAway) throw new StoreUnavailable("the test's store is away");
  }
}

export class Lines implements Log {
  readonly lines: { readonly event: string; readonly fields: LogFields | undefined }[] = [];
  debug = (event: string, fields?: LogFields) => void this.lines.push({ event, fields });
  info = this.debug;
  warn = this.debug;
  error = this.debug;
  child = () => this;

  count(event: string): number {
    return this.lines.filter((line) => line.event === event).length;
  }
}

/** Everything ends with the test. */
export async function setUp(t: TestContext) {
  const clock = new VirtualClock();
  const memory = () => new MemoryStore({ clock, random: systemRandom });
  const store = new UnreliableStore(memory());
  const log = new Lines();
  const controller = new AbortController();
  t.after(() => controller.abort());
  const open = () => openState({ store, clock, random: systemRandom, log }, controller.signal);
  return { clock, store, log, memory, open, signal: controller.signal };
}

/** Lets time pass in small steps until it is so, or a minute of it has passed. */
export async function until(clock: VirtualClock, isSo: () => boolean): Promise<void> {
  for (let step = 0; step < 600 && !isSo(); step++) {
    await turn();
    if (!isSo()) clock.advance(100);
  }
  assert.ok(isSo(), "it did not come true within a minute");
}

export const names = (state: State) => state.list(kind).map((row) => `${row.id}=${row.value.name}`);
export const putOne = (state: State, id: string, name: string) =>
  state.transact((tx) => tx.put(kind, id, project(name)));

export async function take(feed: AsyncIterable<ChangeBatch>, count: number): Promise<ChangeBatch[]> {
  const taken: ChangeBatch[] = [];
  for await (const batch of feed) {
    taken.push(batch);
    if (taken.length === count) break;
  }
  return taken;
}

export const texts = (batches: readonly ChangeBatch[]) =>
  batches.map((b) =>
    b.changes
      .filter((c) => c.kind.name !== kinds.change.name)
      .map((c) => (isOf(kind, c) ? `${c.id}:${c.before?.name}>${c.value?.name}` : c.kind.name)),
  );
