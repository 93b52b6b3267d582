import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { Refusal, type RefusalCode } from "#lib/refusal.ts";
import { planHeader } from "#lib/rpc/plan-header.ts";
import type { Around, Handler } from "../services.ts";
import type { State } from "../store/state.ts";
import { planHash, seedIn } from "./hash.ts";
import { isPlannable } from "./methods.ts";
import { outcomeOf } from "./outcome.ts";
import { type Planned, planKey } from "./rehearsal.ts";

/** Around every handler: a call with the hash of a plan does what was planned, which its own transaction checks, or is refused. */
export const asPlanned =
  (state: State): Around =>
  (method, handler) => {
    const isTaken = isPlannable(method);
    return (request, context) => {
      const hash = context.requestHeader.get(planHeader);
      if (hash === null) return handler(request, context);
      if (!isTaken) throw notTaken(method);
      return checked(state, handler, { hash, request: request as Message, context }); // plannable methods are unary
    };
  };

interface Call {
  readonly hash: string;
  readonly request: Message;
  readonly context: HandlerContext;
}

async function checked(state: State, handler: Handler, { hash, request, context }: Call): Promise<unknown> {
  const seed = seedIn(hash);
  const planned: Planned = {
    kind: "planned",
    seed,
    async check(written) {
      const now = await planHash(seed, context, request, outcomeOf(written, state));
      if (now !== hash) throw stale("it would do something else now");
    },
  };
  context.values.set(planKey, planned);
  try {
    return await handler(request, context);
  } catch (error) {
    // When it was planned there was nothing against it.
    if (error instanceof Refusal && moved.includes(error.code) && error.reason !== staleReason)
      throw stale(error.message);
    throw error;
  }
}

const staleReason = "PLAN_STALE";
/** Codes of refusals that tell of how things stand, not of the request or the caller. */
const moved: readonly RefusalCode[] = ["not-found", "exists", "precondition", "exhausted"];

const stale = (why: string): Refusal =>
  new Refusal("precondition", `this is not what was planned any more: ${why}: plan again`, { reason: staleReason });

/** Ignored, a plan would be relied upon in vain. */
const notTaken = (method: DescMethod): Refusal =>
  new Refusal("invalid", `${method.name} cannot be planned, and takes no ${planHeader}`, { reason: "PLAN_NOT_TAKEN" });
