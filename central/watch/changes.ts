// What a batch of the store's changes means for the things that the API shows.
import type { Message } from "@bufbuild/protobuf";
import { membershipOf } from "../identity/membership.ts";
import type { Change, ChangeBatch } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { type About, type ThingKind, thingKinds } from "../things/kinds.ts";
import { thingKey } from "../things/question.ts";

export interface ThingChange {
  readonly key: string;
  readonly kind: ThingKind;
  readonly id: string;
  readonly revision: bigint;
  /** Whose it was and whose it is; absent where it was not or is not there. */
  readonly before: About | undefined;
  readonly after: About | undefined;
}

const whole = new Map(thingKinds.map((kind) => [kind.kind.name, kind]));
const halves = new Map(thingKinds.flatMap((kind) => kind.halves.map((half) => [half.name, kind])));

/** @param state for whose a thing is of which only a half has changed */
export function thingChanges({ revision, changes }: ChangeBatch, state: Pick<State, "get">): readonly ThingChange[] {
  const found = new Map<string, ThingChange>();
  for (const change of changes) {
    const kind = whole.get(change.kind.name);
    if (kind !== undefined) {
      const { id } = change;
      const about = (value: Message | undefined) => value && kind.about(value, id);
      const key = thingKey(kind, id);
      found.set(key, { key, kind, id, revision, before: about(change.before), after: about(change.value) });
      continue;
    }
    const other = halves.get(change.kind.name);
    if (other === undefined || found.has(thingKey(other, change.id))) continue;
    const value = state.get(other.kind, change.id)?.value;
    if (value === undefined) continue;
    const about = other.about(value, change.id);
    const key = thingKey(other, change.id);
    found.set(key, { key, kind: other, id: change.id, revision, before: about, after: about });
  }
  return [...found.values()];
}

/** Somebody sees more or less from now on. */
export interface Move {
  readonly user: string;
  /** Project or tenant whose member the user has become, is no longer, or is in another role. */
  readonly of: string;
  readonly isGain: boolean;
}

export const movesIn = ({ changes }: ChangeBatch): readonly Move[] =>
  changes.filter(isMembership).map(({ id, before }) => {
    const { of, member: user } = membershipOf(id);
    return { user, of, isGain: before === undefined };
  });

const isMembership = ({ kind, value, before }: Change): boolean =>
  (kind.name === kinds.tenantMember.name || kind.name === kinds.projectMember.name) &&
  (value as { role?: number } | undefined)?.role !== (before as { role?: number } | undefined)?.role;
