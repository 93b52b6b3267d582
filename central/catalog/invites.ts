// Invitations to a tenant or a project: whoever has the secret may accept, once.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { hex } from "#lib/bytes.ts";
import type { Clock } from "#lib/clock.ts";
import { dayMs } from "#lib/durations.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { causeOf } from "../history/cause.ts";
import { isReservedUser } from "../identity/identity.ts";
import type { kinds, Of } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { usable } from "./catalog.ts";
import { claimTurn } from "./claim.ts";

/** The contract promises both: 7 days, and 32 characters. */
const lifetimeMs = 7 * dayMs;
const secretBytes = 16;
/** Of one tenant or project, at one time. */
const openMax = 100;

type InviteKind = typeof kinds.tenantInvite | typeof kinds.projectInvite;

export interface InviteRules<K extends InviteKind> {
  readonly kind: K;
  readonly of: typeof kinds.tenant | typeof kinds.project;
  /** Such as "project", for the texts of refusals. */
  readonly noun: string;
  /** Id of what the invitation is to. */
  readonly to: (invite: Of<K>) => string;
  /** Makes the user a member. @throws Refusal when it is one already, or the thing is not there any more */
  readonly enter: (tx: Tx, of: string, user: string, role: Of<K>["role"]) => void;
}

export interface Invites<K extends InviteKind> {
  /**
   * @param fields all that is neither secret nor time
   * @param alongside writes that belong to it
   * @throws Refusal "exhausted" when too many are open
   */
  create(fields: MessageInitShape<K["schema"]>, alongside: (tx: Tx, invite: Of<K>) => void): Promise<Of<K>>;
  /** @throws Refusal "not-found" */
  get(secret: string): Of<K>;
  /** Those that are open. */
  list(of: string): Of<K>[];
  /** @throws Refusal "not-found" */
  remove(of: string, secret: string): Promise<void>;
  /** For the caller. @returns the invitation, which is used up now. @throws Refusal "not-found", "exists" for one who is a member already */
  accept(secret: string, context: HandlerContext): Promise<Of<K>>;
  /** All of them: belongs to the deletion of what they are to. */
  forget(tx: Tx, of: string): void;
}

export function invites<K extends InviteKind>(
  { state, clock, random }: { readonly state: State; readonly clock: Clock; readonly random: Random },
  { kind, of: target, noun, to, enter }: InviteRules<K>,
): Invites<K> {
  // The secret is no key of the store: keys are named in logs.
  const bySecret = state.index(kind, "secret", (invite) => invite.secret);
  const byTarget = state.index(kind, "target", (invite) => to(invite as Of<K>));
  const isOpen = ({ expiresAt }: { readonly expiresAt?: Timestamp | undefined }): boolean =>
    expiresAt !== undefined && timestampMs(expiresAt) > clock.wallMs();
  const found = (secret: string) => state.by(bySecret, secret).find(({ value }) => isOpen(value));
  const taken = (tx: Tx, secret: string, isWanted: (invite: Of<K>) => boolean): Of<K> => {
    const { id = "" } = found(secret) ?? {};
    const invite = id === "" ? undefined : tx.get(kind, id);
    if (!invite || !isOpen(invite) || !isWanted(invite)) return noSuch(noun);
    tx.delete(kind, id);
    return invite;
  };
  const open = (of: string): Of<K>[] => state.by(byTarget, of).flatMap(({ value }) => (isOpen(value) ? [value] : []));
  return {
    get: (secret) => found(secret)?.value ?? noSuch(noun),
    list: open,
    async create(fields, alongside) {
      const secret = hex(random.bytes(secretBytes));
      const expiresAt = timestampFromMs(clock.wallMs() + lifetimeMs);
      // Both kinds' messages have these fields; the compiler does not join the two.
      const invite = create(kind.schema, { ...fields, secret, expiresAt } as MessageInitShape<K["schema"]>) as Of<K>;
      if (invite.role === 0) throw new Refusal("invalid", "a role is wanted", { field: "role" });
      const id = random.uuid();
      await state.transact((tx) => {
        // One that is being deleted takes its invitations along, and gets no more.
        usable(tx, target, to(invite), noun);
        claimTurn(tx, `invites/${to(invite)}`);
        if (open(to(invite)).length >= openMax) {
          const text = `${noun} ${to(invite)} has ${openMax} open invitations: delete one first`;
          throw new Refusal("exhausted", text, { reason: "INVITES_OPEN" });
        }
        tx.put(kind, id, invite, { ttlMs: lifetimeMs });
        alongside(tx, invite);
      });
      return invite;
    },
    async remove(of, secret) {
      await state.transact((tx) => taken(tx, secret, (invite) => to(invite) === of));
    },
    async accept(secret, context) {
      const { user } = callerOf(context);
      if (isReservedUser(user)) throw new Refusal("denied", `${user} is no person`, { reason: "NO_PERSON" });
      const { result } = await state.transact((tx) => {
        const invite = taken(tx, secret, () => true);
        enter(tx, to(invite), user, invite.role);
        return invite;
      }, causeOf(context));
      return result;
    },
    forget(tx, of) {
      for (const { id, value } of tx.list(kind)) if (to(value) === of) tx.delete(kind, id);
    },
  };
}

/** Says nothing of the secret: it may be right for something else. */
function noSuch(noun: string): never {
  throw new Refusal("not-found", `no open invitation to a ${noun} has this secret`, { reason: "INVITE_NOT_FOUND" });
}
