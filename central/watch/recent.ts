// What has changed lately, for streams that come back: of each thing its last change, and whose it has been. Values are not kept.
import type { About, ThingKind } from "../things/kinds.ts";
import type { Move, ThingChange } from "./changes.ts";

/** Things, and users, whose last change is remembered. */
const keptMax = 50_000;
/** Memberships of one user that are remembered as gained. */
const gainsMax = 64;
/** Owners of one thing that are remembered. */
const ownersMax = 8;

export interface RecentChange {
  readonly key: string;
  readonly kind: ThingKind;
  readonly id: string;
  readonly revision: bigint;
  /** With the revision at which it ceased to be theirs, oldest first. */
  readonly owners: readonly { readonly about: About; readonly until: bigint }[];
}

interface UserMoves {
  readonly last: bigint;
  /** Of the last loss. */
  readonly lost: bigint;
  readonly gained: Map<string, bigint>;
}

export class Recent {
  readonly #max: number;
  /** In the order of the last change. */
  readonly #things = new Map<string, RecentChange>();
  readonly #users = new Map<string, UserMoves>();
  /** Everything after this revision is held. */
  #from: bigint;

  constructor(from: bigint, max: number = keptMax) {
    this.#from = from;
    this.#max = max;
  }

  note({ key, kind, id, revision, before }: ThingChange): void {
    const known = this.#things.get(key)?.owners ?? [];
    const owners =
      before === undefined ? [...known] : [...known.filter(isAnother(before)), { about: before, until: revision }];
    const dropped = owners.length > ownersMax ? owners.shift() : undefined;
    if (dropped && dropped.until > this.#from) this.#from = dropped.until;
    this.#things.delete(key);
    this.#things.set(key, { key, kind, id, revision, owners });
    this.#forget(this.#things, ({ revision: last }) => last);
  }

  noteMove({ user, of, isGain }: Move, revision: bigint): void {
    const { lost, gained } = this.#users.get(user) ?? { lost: 0n, gained: new Map<string, bigint>() };
    gained.set(of, revision);
    const isTooMuch = gained.size > gainsMax;
    if (isTooMuch) gained.clear();
    this.#users.delete(user);
    this.#users.set(user, { last: revision, lost: isGain && !isTooMuch ? lost : revision, gained });
    this.#forget(this.#users, ({ last }) => last);
  }

  holdsSince = (revision: bigint): boolean => revision >= this.#from;

  /**
   * Projects and tenants whose member a user has become after the revision; undefined when the user has also lost some, or had another
   * role, so that it is not known any more what of it was seen.
   */
  gainedSince(user: string, revision: bigint): readonly string[] | undefined {
    const moves = this.#users.get(user);
    if (moves === undefined) return [];
    if (moves.lost > revision) return undefined;
    return [...moves.gained].flatMap(([of, at]) => (at > revision ? [of] : []));
  }

  /** Of each thing that has changed after the revision the last change, oldest first. */
  since(revision: bigint): readonly RecentChange[] {
    return [...this.#things.values()].filter((change) => change.revision > revision);
  }

  #forget<T>(map: Map<string, T>, revisionOf: (value: T) => bigint): void {
    if (map.size <= this.#max) return;
    for (const [key, value] of map) {
      map.delete(key);
      if (revisionOf(value) > this.#from) this.#from = revisionOf(value);
      return;
    }
  }
}

/** Whose it was again need be known only once, with the later revision. */
const isAnother =
  (about: About) =>
  ({ about: other }: { readonly about: About }): boolean =>
    about.project !== other.project || about.tenant !== other.tenant || about.user !== other.user;
