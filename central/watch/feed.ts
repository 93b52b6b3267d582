// One subscription to the store's changes for all who watch: a change is looked at once, and wakes only those that it may concern.
import { Bell } from "#lib/bell.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Caller } from "../access/caller.ts";
import type { ChangeBatch } from "../store/cache.ts";
import { HistoryChanged } from "../store/follower.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { About } from "../things/kinds.ts";
import { isMeant, type Question } from "../things/question.ts";
import { movesIn, type ThingChange, thingChanges } from "./changes.ts";
import { Recent, type RecentChange } from "./recent.ts";
import { type Named, Waiting } from "./waiting.ts";

/** Changed things that may wait for one reader. */
const waitingMax = 10_000;
/** Streams at one time. */
const streamsMax = { ofOneUser: 64, inAll: 10_000 } as const;

export interface Watcher {
  /** Rung when there may be something to do. */
  readonly bell: Bell;
  /** Everything up to here waits or was taken. */
  readonly revision: bigint;
  readonly isIdle: boolean;
  begin(named: Named): void;
  /** @throws Refusal "conflict" when the stream cannot go on */
  take(): Named | undefined;
  /** Whether the caller's rights may have changed since it was asked last. */
  takeMoved(): boolean;
  close(): void;
}

export interface Missed {
  readonly changes: readonly RecentChange[];
  /** Projects and tenants. */
  readonly gained: readonly string[];
}

interface Open {
  readonly question: Question;
  readonly caller: Pick<Caller, "user" | "token">;
  readonly waiting: Waiting;
  readonly bell: Bell;
  hasMoved: boolean;
  ended: Refusal | undefined;
}

export class WatchFeed {
  readonly #state: State;
  readonly #max: number;
  readonly #open = new Set<Open>();
  /** By the project that they ask for; empty: those who ask for none. */
  readonly #byProject = new Map<string, Set<Open>>();
  #recent: Recent;
  #history: string;
  #revision: bigint;

  /** @param max changed things that may wait for one reader */
  constructor(state: State, max: number = waitingMax) {
    this.#state = state;
    this.#max = max;
    this.#history = state.history;
    this.#revision = state.revision;
    this.#recent = new Recent(state.revision);
  }

  /** Until the signal aborts or the state closes. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let why: unknown;
      try {
        return await this.#follow(signal);
      } catch (error) {
        why = error; // the state's log has it
      } finally {
        this.#endAll(why);
      }
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const changes = this.#state.changes(signal);
    this.#history = this.#state.history;
    this.#revision = this.#state.revision;
    this.#recent = new Recent(this.#revision);
    for await (const batch of changes) this.#take(batch);
  }

  /**
   * What has changed after a revision, and whose member the user has become since.
   * @throws Refusal "precondition" that says why one cannot go on there
   */
  since(
    after: { readonly history: string; readonly revision: bigint },
    { user, token }: Pick<Caller, "user" | "token">,
  ): Missed {
    const { history, revision } = after;
    if (history !== this.#history) {
      throw cannot("HISTORY_CHANGED", `the history is ${this.#history}, not ${history.slice(0, 64)}`);
    }
    if (revision > this.#state.revision) {
      const text = `this server is at revision ${this.#state.revision}, before ${revision}: call again`;
      throw new Refusal("unavailable", text, { field: "after", reason: "REVISION_AHEAD" });
    }
    if (!this.#recent.holdsSince(revision)) {
      throw cannot("REVISION_COMPACTED", `this server does not hold all that came after revision ${revision}`);
    }
    const gained = this.#recent.gainedSince(user, revision);
    if (gained === undefined) {
      throw cannot("SIGHT_CHANGED", `${user} has lost memberships or changed roles after revision ${revision}`);
    }
    const changes = this.#recent.since(revision);
    if (changes.some(({ kind, id }) => kind.kind.name === kinds.token.name && id === token)) {
      throw cannot("SIGHT_CHANGED", `token ${token} has changed after revision ${revision}`);
    }
    return { changes, gained };
  }

  /** What changes from now on waits for the watcher. @throws Refusal "exhausted" */
  open(question: Question, caller: Pick<Caller, "user" | "token">): Watcher {
    this.#checkRoom(caller.user);
    const open: Open = {
      question,
      caller,
      waiting: new Waiting(this.#max),
      bell: new Bell(),
      hasMoved: false,
      ended: undefined,
    };
    this.#enter(open);
    const revision = () => this.#revision;
    return {
      bell: open.bell,
      get revision() {
        return revision();
      },
      get isIdle() {
        return open.waiting.isEmpty && !open.hasMoved && open.ended === undefined;
      },
      begin: (named) => open.waiting.begin(named),
      take() {
        if (open.ended !== undefined) throw open.ended;
        return open.waiting.take();
      },
      takeMoved() {
        const { hasMoved } = open;
        open.hasMoved = false;
        return hasMoved;
      },
      close: () => this.#leave(open),
    };
  }

  #take(batch: ChangeBatch): void {
    const changes = thingChanges(batch, this.#state);
    const moves = movesIn(batch);
    const users = new Set(moves.map(({ user }) => user));
    const tokens = new Set(changes.flatMap(({ kind, id }) => (kind.kind.name === kinds.token.name ? id : [])));
    for (const move of moves) this.#recent.noteMove(move, batch.revision);
    for (const change of changes) this.#recent.note(change);
    this.#revision = batch.revision;
    const touched = new Set<Open>();
    for (const change of changes) {
      for (const open of this.#among(change)) {
        if (!this.#concerns(change, open.question)) continue;
        this.#add(open, change);
        touched.add(open);
      }
    }
    if (users.size + tokens.size > 0) {
      for (const open of this.#open) {
        if (!users.has(open.caller.user) && !tokens.has(open.caller.token)) continue;
        open.hasMoved = true;
        touched.add(open);
      }
    }
    for (const open of touched) open.bell.ring();
  }

  /** Whom it can concern: of those who ask for one project, only who asks for this one. */
  *#among({ kind, before, after }: ThingChange): Generator<Open> {
    if (!kind.isOwned || before?.isBase || after?.isBase) return yield* this.#open;
    for (const project of new Set(["", before?.project ?? "", after?.project ?? ""])) {
      yield* this.#byProject.get(project) ?? [];
    }
  }

  #concerns({ kind, id, before, after }: ThingChange, question: Question): boolean {
    if (!question.kinds.includes(kind) || question.ids?.has(id) === false) return false;
    const meant = (about: About | undefined) => about !== undefined && isMeant(this.#state, question, kind, about);
    return meant(after) || meant(before);
  }

  #add(open: Open, change: ThingChange): void {
    if (open.waiting.add(change)) return;
    const text = `more than ${this.#max} changed things wait for the reader: begin anew`;
    this.#end(open, new Refusal("conflict", text, { reason: "WATCH_TOO_SLOW" }));
  }

  #enter(open: Open): void {
    const { project } = open.question;
    this.#open.add(open);
    this.#byProject.set(project, (this.#byProject.get(project) ?? new Set()).add(open));
  }

  #leave(open: Open): void {
    const { project } = open.question;
    const others = this.#byProject.get(project);
    this.#open.delete(open);
    others?.delete(open);
    if (others?.size === 0) this.#byProject.delete(project);
  }

  #end(open: Open, why: Refusal): void {
    open.ended = why;
    open.waiting.clear();
    this.#leave(open);
    open.bell.ring();
  }

  #endAll(why: unknown): void {
    const refusal =
      why instanceof HistoryChanged
        ? new Refusal("conflict", `${why.message}: begin anew`, { reason: "HISTORY_CHANGED" })
        : new Refusal("unavailable", "the stream cannot go on, call again", { reason: "STREAM_BROKEN_OFF" });
    for (const open of this.#open) this.#end(open, refusal);
  }

  #checkRoom(user: string): void {
    const { ofOneUser, inAll } = streamsMax;
    const own = [...this.#open].filter((open) => open.caller.user === user).length;
    if (own < ofOneUser && this.#open.size < inAll) return;
    const text = own < ofOneUser ? `${inAll} streams watch here` : `${ofOneUser} streams of ${user} watch here`;
    throw new Refusal("exhausted", `${text}, and there may be no more`, { reason: "WATCHES_OPEN" });
  }
}

const cannot = (reason: string, why: string) =>
  new Refusal("precondition", `cannot go on there, ${why}: begin anew`, { field: "after", reason });
