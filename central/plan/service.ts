// holdfast.api.v1.PlanService: runs the very handler of a call, over a record of transactions that nobody commits.
import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import { Code, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { type PlannedRefusal, PlannedRefusalSchema, PlanService } from "#gen/holdfast/api/v1/plan_pb.ts";
import { bug } from "#lib/bug.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { connectErrorOf } from "#lib/rpc/refusal-to-connect.ts";
import { type Caller, callerKey, callerOf } from "../access/caller.ts";
import { decide } from "../access/decide.ts";
import { methodName, subjectOf } from "../access/rule.ts";
import { uniqueNames } from "../machine/unique-name.ts";
import { rules } from "../rules.ts";
import { type Handler, type Implementation, implement } from "../services.ts";
import type { State } from "../store/state.ts";
import { planHash, seeds } from "./hash.ts";
import { plannable } from "./methods.ts";
import { outcomeOf } from "./outcome.ts";
import { planKey, Rehearsal } from "./rehearsal.ts";

/** @param implementations among which are those of all calls that can be planned */
export function planService(
  { state, random }: { readonly state: State; readonly random: Random },
  implementations: readonly Implementation[],
): Implementation {
  const handlers = new Map(
    Object.values(plannable).map((method) => [method, uniqueNames(method, handlerOf(implementations, method))]),
  );
  return implement(PlanService, {
    async plan({ call }, context) {
      if (call.case === undefined) throw new Refusal("invalid", "a call to plan is wanted", { field: "call" });
      const method = plannable[call.case];
      const caller = callerOf(context);
      checkAccess(method, caller, call.value);
      const rehearsal = new Rehearsal(random.below(seeds));
      const position = { history: state.history, revision: state.revision };
      const called = inside(context, method, rehearsal);
      const handler = handlers.get(method) ?? bug(`${method.name} has no handler`);
      try {
        await handler(call.value, called);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return { outcome: { case: "refusal", value: refusalOf(error) }, why: [...rehearsal.why], position };
      }
      const plan = outcomeOf(rehearsal.written, state);
      const hash = await planHash(rehearsal.seed, called, call.value, plan);
      return { outcome: { case: "plan", value: plan }, hash, why: [...rehearsal.why], position };
    },
  });
}

/** Checked by implement(), where the method's type was still known. */
function handlerOf(implementations: readonly Implementation[], method: DescMethod): Handler {
  for (const { service, handlers } of implementations)
    if (service === method.parent && method.localName in handlers) return handlers[method.localName] as Handler;
  return bug(`${methodName(method)} can be planned, and nobody implements it`);
}

function checkAccess(method: DescMethod, caller: Caller, request: Message): void {
  const decision = decide(rules.get(methodName(method)), caller, subjectOf(method, request));
  if (!decision.allowed) throw new Refusal(decision.code, decision.why, { reason: "ACCESS" });
}

/** As if the caller had made the call itself, without a key and without a plan. */
const inside = (context: HandlerContext, method: DescMethod, rehearsal: Rehearsal): HandlerContext => ({
  ...context,
  method,
  service: method.parent,
  values: createContextValues().set(callerKey, callerOf(context)).set(planKey, rehearsal),
});

function refusalOf(refusal: Refusal): PlannedRefusal {
  const { code, rawMessage: text } = connectErrorOf(refusal);
  const { reason = "", field = "" } = refusal;
  return create(PlannedRefusalSchema, { code: Code[code], text, reason, field });
}
