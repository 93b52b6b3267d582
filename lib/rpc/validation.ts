import {
  create,
  createRegistry,
  type DescMessage,
  type DescMethod,
  type DescService,
  type Message,
} from "@bufbuild/protobuf";
import { createValidator, type Validator } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { createValidateInterceptor } from "@connectrpc/validate";
import { file_metalstack_api_v2_predefined_rules } from "#gen/metalstack/api/v2/predefined_rules_pb.ts";
import { Refusal } from "../refusal.ts";
import type { Objection } from "./fields.ts";
import { badText } from "./texts.ts";
import { badTime } from "./times.ts";
import { brief } from "./violations.ts";

/** Checks messages against the rules in their .proto files, our predefined rules included. */
export const newValidator = (): Validator =>
  createValidator({ registry: createRegistry(file_metalstack_api_v2_predefined_rules) });

/**
 * Refuses requests that break the rules of their messages, as InvalidArgument with the violations as detail, and those with times
 * that cannot be, or, from people, texts that are not what they seem.
 * @param services their request messages' rules are compiled here and now, because the first use of each costs milliseconds
 */
export function validation(services: readonly DescService[], validator: Validator = newValidator()): Interceptor {
  for (const input of new Set(services.flatMap((s) => s.methods.map((m): DescMessage => m.input)))) {
    validator.validate(input, create(input));
  }
  const byRules = createValidateInterceptor({ validator: brief(validator) });
  return (next) => byRules(possible(next));
}

const possible: Interceptor = (next) => (request) => {
  const objection = objectionTo(request.method);
  if (!request.stream) check(objection, request.message);
  return next(request.stream ? { ...request, message: checked(objection, request.message) } : request);
};

/** Packages in which machines speak: what stands on their labels and in their firmware is taken as it is. */
const ofMachines = /^(metalstack\.infra|holdfast\.(install|sync))\./;

type ObjectionTo = (message: Message) => Objection | undefined;

function objectionTo({ input, parent }: DescMethod): ObjectionTo {
  if (ofMachines.test(parent.typeName)) return (message) => badTime(input, message);
  return (message) => badTime(input, message) ?? badText(input, message);
}

async function* checked<M extends Message>(objection: ObjectionTo, messages: AsyncIterable<M>): AsyncIterable<M> {
  for await (const message of messages) {
    check(objection, message);
    yield message;
  }
}

function check(objection: ObjectionTo, message: Message): void {
  const found = objection(message);
  if (found) throw new Refusal("invalid", `${found.field}: ${found.why}`, { field: found.field });
}
