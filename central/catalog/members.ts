// Who belongs to a tenant or a project. One of them is always an owner.
import type { HandlerContext } from "@connectrpc/connect";
import { touched } from "#domain/meta.ts";
import type { Clock } from "#lib/clock.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { type Cause, causeOf } from "../history/cause.ts";
import { isReservedUser } from "../identity/identity.ts";
import { membershipId, membershipOf, newMembership } from "../identity/membership.ts";
import type { kinds, Of } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { exists, unknown, usable } from "./catalog.ts";
import { claimTurn } from "./claim.ts";

type MemberKind = typeof kinds.tenantMember | typeof kinds.projectMember;

export interface Members<K extends MemberKind> {
  list(of: string): Of<K>[];
  /** To change something, for whoever calls. @throws Refusal "invalid" for a reason that cannot be kept */
  by(context: HandlerContext): MemberChanges<K>;
  /** As `add`, as part of something larger. */
  enter(tx: Tx, of: string, member: string, role: Of<K>["role"]): Of<K>;
  /** All of them: belongs to the deletion of what they are members of. */
  forget(tx: Tx, of: string): void;
}

export interface MemberChanges<K extends MemberKind> {
  /** @param alongside writes that belong to it */
  add(of: string, member: string, role: Of<K>["role"], alongside: (tx: Tx, added: Of<K>) => void): Promise<Of<K>>;
  setRole(of: string, member: string, role: Of<K>["role"]): Promise<Of<K>>;
  remove(of: string, member: string): Promise<Of<K>>;
}

export function members<K extends MemberKind>(
  { state, clock }: { readonly state: State; readonly clock: Clock },
  given: {
    readonly of: typeof kinds.tenant | typeof kinds.project;
    readonly kind: K;
    readonly noun: string;
    readonly owner: Of<K>["role"];
    /** Why this member can neither be removed nor be less than an owner; undefined when nothing is against it. */
    readonly isFixed: (tx: Tx, of: string, member: string) => Refusal | undefined;
  },
): Members<K> {
  const { kind, noun } = given;
  const found = (tx: Tx, of: string, member: string): Of<K> =>
    tx.get(kind, membershipId(of, member)) ?? unknown(`member of ${noun} ${of}:`, member);
  const rowsOf = (reads: Pick<Tx, "list">, of: string) =>
    reads.list(kind).filter((row) => membershipOf(row.id).of === of);
  const checkLoose = (tx: Tx, of: string, member: string): void => {
    const refusal = given.isFixed(tx, of, member);
    if (refusal) throw refusal;
  };
  const keepAnOwner = (tx: Tx, of: string, member: string): void => {
    claimTurn(tx, `members/${of}`);
    if (rowsOf(tx, of).some((row) => row.value.role === given.owner && row.value.id !== member)) return;
    throw new Refusal("precondition", `${member} is the last owner of ${noun} ${of}`, { reason: "LAST_OWNER" });
  };
  const enter = (tx: Tx, of: string, member: string, role: Of<K>["role"]): Of<K> => {
    wanted(role);
    if (isReservedUser(member)) {
      const text = `${member} is no person: agents come by join tokens`;
      throw new Refusal("invalid", text, { field: "member", reason: "NO_PERSON" });
    }
    const added = newMembership(kind, { id: member, role }, clock.wallMs());
    usable(tx, given.of, of, noun);
    if (tx.get(kind, membershipId(of, member)) !== undefined) throw exists(`member of ${noun} ${of}:`, member);
    tx.put(kind, membershipId(of, member), added);
    return added;
  };
  const changes = (cause: Cause): MemberChanges<K> => ({
    async add(of, member, role, alongside) {
      const { result } = await state.transact((tx) => {
        const added = enter(tx, of, member, role);
        alongside(tx, added);
        return added;
      }, cause);
      return result;
    },
    async setRole(of, member, role) {
      wanted(role);
      const { result } = await state.transact((tx) => {
        if (role !== given.owner) checkLoose(tx, of, member);
        const draft = copyOf(found(tx, of, member)) as Of<K>;
        if (role !== given.owner) keepAnOwner(tx, of, member);
        draft.role = role;
        draft.meta = touched(draft.meta, clock.wallMs());
        tx.put(kind, membershipId(of, member), draft);
        return draft;
      }, cause);
      return result;
    },
    async remove(of, member) {
      const { result } = await state.transact((tx) => {
        checkLoose(tx, of, member);
        const removed = found(tx, of, member);
        keepAnOwner(tx, of, member);
        tx.delete(kind, membershipId(of, member));
        return removed;
      }, cause);
      return result;
    },
  });
  return {
    enter,
    forget(tx, of) {
      for (const { id } of rowsOf(tx, of)) tx.delete(kind, id);
    },
    list: (of) => rowsOf(state, of).map((row) => row.value),
    by: (context) => changes(causeOf(context)),
  };
}

function wanted(role: number): void {
  if (role === 0) throw new Refusal("invalid", "a role is wanted", { field: "role" });
}
