// Attempts that reach no handler, which would write them down: without a credential, without a right, or no good as requests.
import { type DescMethod, getOption, type JsonObject } from "@bufbuild/protobuf";
import {
  type ContextKey,
  type ContextValues,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { Auditing, auditing } from "#gen/metalstack/api/v2/common_pb.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import type { Act, AuditTrail } from "./audit.ts";

const handledKey: ContextKey<boolean> = createContextKey<boolean>(false, {
  description: "whether a handler writes down how the call ends",
});

export interface RefusedActsPorts {
  readonly audit: AuditTrail;
  readonly random: Random;
  /** As traces name the caller; undefined: nobody knows who calls. */
  readonly userOf: (values: ContextValues) => string | undefined;
}

/** What a handler is about to do for its caller, and writes down itself. @param body what of the request may be written down */
export function actOf(
  { random, userOf }: Omit<RefusedActsPorts, "audit">,
  { values, method }: Pick<HandlerContext, "values" | "method">,
  body: JsonObject,
): Act {
  values.set(handledKey, true);
  return newAct({ random, userOf }, values, method, body);
}

/** Goes before access and all that checks requests. Of the requests themselves nothing is written down: nobody has looked at them. */
export function refusedActs({ audit, ...ports }: RefusedActsPorts): Interceptor {
  return (next) => async (request) => {
    const { method, contextValues } = request;
    if (getOption(method, auditing) !== Auditing.INCLUDED) return await next(request);
    try {
      return await next(request);
    } catch (error) {
      if (contextValues.get(handledKey)) throw error;
      const act = newAct(ports, contextValues, method, {});
      if (act.user === "" || isDenied(error)) await audit.turnedAway(act, error);
      else await audit.refused(act, error);
      throw error;
    }
  };
}

const isDenied = (error: unknown): boolean => error instanceof Refusal && error.code === "denied";

const newAct = (
  { random, userOf }: Omit<RefusedActsPorts, "audit">,
  values: ContextValues,
  method: DescMethod,
  body: JsonObject,
): Act => ({
  id: random.uuid(),
  user: userOf(values) ?? "",
  address: values.get(peerKey).address,
  method: `/${method.parent.typeName}/${method.name}`,
  body,
});
