// Which methods take an idempotency key: read from the descriptors, so that one that is added tomorrow is judged too.
import type { DescMethod } from "@bufbuild/protobuf";
import { ruleOf } from "../access/rule.ts";
import { isSecret } from "../audit/secret-fields.ts";

/** How the names of methods begin that make something anew, so that a second call would make a second one. */
const makesAnew = /^(Create|Add|Invite$|Refresh$)/;

export const takesKey = (method: DescMethod): boolean =>
  method.methodKind === "unary" && makesAnew.test(method.name) && !ruleOf(method).isPublic;

/** Whether its answer shows, this once, a secret that is stored nowhere. */
export const answersSecret = ({ output }: DescMethod): boolean => output.fields.some(isSecret);
