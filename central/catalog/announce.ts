// What hangs on a list takes two commits, as lists are not conditioned: the first announces by a claim what is to come, and the second
// looks at the list. Who changes what is listed reads the claim under a condition: who was before it is seen, and who comes after it loses
// the race, or goes by what it says.
import { beside, type Cause } from "../history/cause.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { claim, holderOf, unclaim } from "./claim.ts";

/** Nobody takes as long between the two; that of a central that dies there goes by itself. */
const announcedMs = 60_000;

export interface Announcement {
  /** Of the claim, such as `kept-prefixes/ID`. */
  readonly what: string;
  /** Its value, until the second commit puts another or takes the claim away. */
  readonly text: string;
  /** Whether it may be announced; throws when not. */
  readonly check?: (tx: Tx) => void;
}

/** Announces it, does the rest, and takes the announcement back when that fails. */
export async function announced<R>(
  state: State,
  cause: Cause,
  { what, text, check = () => {} }: Announcement,
  rest: () => Promise<R>,
): Promise<R> {
  const announce = (tx: Tx) => {
    check(tx);
    claim(tx, what, text, { ttlMs: announcedMs });
  };
  await state.transact(announce, beside(cause));
  try {
    return await rest();
  } catch (error) {
    const takeBack = (tx: Tx) => {
      if (holderOf(tx, what) === text) unclaim(tx, what);
    };
    // It goes by itself when the store is away.
    await state.transact(takeBack, beside(cause)).catch(() => undefined);
    throw error;
  }
}
