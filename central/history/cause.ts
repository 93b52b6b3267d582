// Who changes something, by which call, and why: kept with each change of what people want.
import type { HandlerContext } from "@connectrpc/connect";
import { Refusal } from "#lib/refusal.ts";
import { reasonHeader } from "#lib/rpc/reason-header.ts";
import { callerOf } from "../access/caller.ts";
import { methodName } from "../access/rule.ts";
import { struck } from "../audit/secret-fields.ts";
import { type PlanOfChange, planKey } from "../plan/rehearsal.ts";

export interface Cause {
  /** Login of whoever asked for it, "agent of PARTITION", or "central". */
  readonly actor: string;
  /** Full name of the call; empty when it was none. */
  readonly method: string;
  readonly reason: string;
  /** When it is only planned, or was planned before. */
  readonly plan?: PlanOfChange;
}

/** Characters of a reason. */
const reasonMax = 256;

/**
 * Of a call that changes something.
 * @throws Refusal "invalid" for a reason that is too long, or no text: HTTP carries visible ASCII and blanks
 */
export function causeOf(context: Pick<HandlerContext, "values" | "method" | "requestHeader">): Cause {
  const { user, partition } = callerOf(context);
  const actor = partition === undefined ? user : agentOf(partition);
  const plan = context.values.get(planKey);
  return {
    actor,
    method: methodName(context.method),
    reason: checkedReason(context.requestHeader.get(reasonHeader)),
    ...(plan && { plan }),
  };
}

/** Of a commit that comes before or after the one that was planned, and is no part of the plan. */
export function beside({ plan, ...cause }: Cause): Cause {
  return plan?.kind === "rehearsal" ? { ...cause, plan } : cause;
}

export const agentOf = (partition: string): string => `agent of ${partition}`;

/** Of what central does by itself. */
export const byCentral = (reason: string): Cause => ({ actor: "central", method: "", reason });

function checkedReason(text: string | null): string {
  if (text === null) return "";
  if (/^[\x20-\x7e]+$/.test(text) && text.length <= reasonMax) return struck(text, reasonMax);
  const why = `${reasonHeader} wants 1 to ${reasonMax} visible ASCII characters or blanks, and has ${text.length} characters`;
  throw new Refusal("invalid", why, { field: reasonHeader, reason: "REASON_INVALID" });
}
