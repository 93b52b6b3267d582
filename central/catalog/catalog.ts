// What all kinds of stored things have in common: found or not, created once, changed under a lock, deleted when nobody needs them.
import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { checkLock, newMeta, touched } from "#domain/meta.ts";
import type { Labels, Meta, UpdateLabels, UpdateMeta } from "#gen/metalstack/api/v2/common_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { beside, type Cause, causeOf } from "../history/cause.ts";
import type { Stored } from "../store/cache.ts";
import type { Kind, Of } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { deletionTaskId } from "../task/deletion.ts";

export type Thing = Message & { meta?: Meta | undefined };

export interface Change {
  readonly updateMeta?: UpdateMeta | undefined;
  readonly labels?: UpdateLabels | undefined;
}

export interface Catalog<T extends Thing> {
  /** @throws Refusal "not-found" */
  get(id: string): T;
  /** @param among the rows to choose from; all of them unless given */
  list(where?: (thing: T) => boolean, among?: readonly Stored<T>[]): T[];
  /** To change something, for whoever calls. @throws Refusal "invalid" for a reason that cannot be kept */
  by(context: HandlerContext): CatalogChanges<T>;
}

export interface CatalogChanges<T extends Thing> {
  /**
   * @param check what must hold in the same transaction; it may also write
   * @throws Refusal "exists"
   */
  create(id: string, thing: T, labels: Labels | undefined, check?: (tx: Tx, thing: T) => void): Promise<T>;
  /** @param change edits its own copy */
  update(id: string, lock: Change, change: (draft: T, tx: Tx, before: T) => void): Promise<T>;
  /**
   * In two steps, so that nothing can begin to use the thing in between: first it is marked, which `usable` refuses, then, with a
   * view that is surely complete, it goes, unless somebody holds it. Who dies in between has not deleted it: `endBrokenOff`.
   * @param holders who still needs the thing, in words
   * @param alongside writes that belong to the deletion
   */
  remove(
    id: string,
    holders: (tx: Tx, thing: T) => readonly string[],
    alongside?: (tx: Tx, thing: T) => void,
  ): Promise<T>;
}

/** @param noun such as "partition", for the texts of refusals */
export function catalog<K extends Kind>(
  { state, clock }: { readonly state: State; readonly clock: Clock },
  kind: K,
  noun: string,
): Catalog<Of<K> & Thing> {
  // Every kind that has a catalog is a message with meta; the compiler knows that only where the kind is named.
  type T = Of<K> & Thing;
  const read = (tx: Tx, id: string): T => (tx.get(kind, id) as T | undefined) ?? unknown(noun, id);
  const copy = (thing: T): T => copyOf(thing) as T;
  const changes = (cause: Cause): CatalogChanges<T> => ({
    async create(id, thing, labels, check) {
      const { result } = await state.transact((tx) => {
        if (tx.get(kind, id) !== undefined) throw exists(noun, id);
        const created = copy(thing);
        created.meta = newMeta(labels, clock.wallMs());
        check?.(tx, created);
        tx.put(kind, id, created);
        return created;
      }, cause);
      return result;
    },
    async update(id, { updateMeta, labels }, change) {
      const { result } = await state.transact((tx) => {
        const stored = read(tx, id);
        checkLock(`${noun} ${id}`, stored.meta, updateMeta);
        const draft = copy(stored);
        change(draft, tx, stored);
        draft.meta = touched(stored.meta, clock.wallMs(), labels);
        tx.put(kind, id, draft);
        return draft;
      }, cause);
      return result;
    },
    async remove(id, holders, alongside) {
      const mark = (isMarked: boolean) =>
        state.transact((tx) => {
          const draft = copy(read(tx, id));
          draft.meta = marked(draft.meta, clock.wallMs(), isMarked ? deletionTaskId(kind, id) : undefined);
          tx.put(kind, id, draft);
        }, beside(cause));
      await mark(true);
      try {
        const { result } = await state.transact((tx) => {
          const thing = read(tx, id);
          checkMarked(thing.meta, deletionTaskId(kind, id), `${noun} ${id}`);
          checkUnheld(noun, id, holders(tx, thing));
          alongside?.(tx, thing);
          tx.delete(kind, id);
          return thing;
        }, cause);
        return result;
      } catch (error) {
        await mark(false).catch(() => undefined);
        throw error;
      }
    },
  });
  return {
    get: (id) => (state.get(kind, id)?.value as T | undefined) ?? unknown(noun, id),
    list: (where = () => true, among = state.list(kind) as readonly Stored<T>[]) =>
      among.flatMap(({ value }) => (where(value) ? [value] : [])),
    by: (context) => changes(causeOf(context)),
  };
}

function marked(before: Meta | undefined, nowMs: number, task: string | undefined): Meta {
  const meta = touched(before, nowMs);
  if (task === undefined) delete meta.deletionTaskId;
  else meta.deletionTaskId = task;
  return meta;
}

/**
 * A thing that another is about to refer to: there, and not about to go. The commit fails when that changes.
 * @throws Refusal "not-found" or "precondition"
 */
export function usable<K extends Kind>(tx: Tx, kind: K, id: string, noun: string): Of<K> {
  const thing = tx.get(kind, id) as (Of<K> & Thing) | undefined;
  if (thing === undefined) return unknown(noun, id);
  if (thing.meta?.deletionTaskId === undefined) return thing;
  throw new Refusal("precondition", `${noun} ${id} is being deleted`, { reason: "BEING_DELETED" });
}

export function unknown(noun: string, id: string): never {
  throw new Refusal("not-found", `${noun} ${id.slice(0, 256)} is not known`, { reason: "NOT_FOUND" });
}

export const exists = (noun: string, id: string): Refusal =>
  new Refusal("exists", `${noun} ${id} exists already`, { reason: "EXISTS" });

/** Without the mark something may have begun to use it. Another deletion of the same thing may have taken it away, and so ended both. */
function checkMarked(meta: Meta | undefined, task: string, what: string): void {
  if (meta?.deletionTaskId === task) return;
  throw new Refusal("conflict", `the deletion of ${what} was ended by somebody else: try again`, {
    reason: "CONFLICT",
  });
}

const shown = 5;

function checkUnheld(noun: string, id: string, holders: readonly string[]): void {
  if (holders.length === 0) return;
  const more = holders.length > shown ? ` and ${holders.length - shown} more` : "";
  const text = `${noun} ${id} is in use by ${holders.slice(0, shown).join(", ")}${more}`;
  throw new Refusal("precondition", text, { reason: "IN_USE" });
}
