// Which methods take an idempotency key: read from the descriptors, so that one that is added tomorrow is judged too.
import type { DescMethod } from "@bufbuild/protobuf";
import { ruleOf } from "../access/rule.ts";
import { isSecret } from "../audit/secret-fields.ts";

/**
 * - taken: it makes something anew, so a second call would make a second one
 * - secret: it does, and its answer shows once what is stored nowhere
 * - none: it does not
 */
export type KeyUse = "taken" | "secret" | "none";

/** How the names of methods begin that make something anew. */
const makesAnew = /^(Create|Add|Invite$|Refresh$)/;

export function keyUse(method: DescMethod): KeyUse {
  if (method.methodKind !== "unary" || ruleOf(method).isPublic || !makesAnew.test(method.name)) return "none";
  return method.output.fields.some(isSecret) ? "secret" : "taken";
}
