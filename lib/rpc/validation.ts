import { create, createRegistry, type DescMessage, type DescService, type Message } from "@bufbuild/protobuf";
import { createValidator, type Validator } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { createValidateInterceptor } from "@connectrpc/validate";
import { file_metalstack_api_v2_predefined_rules } from "#gen/metalstack/api/v2/predefined_rules_pb.ts";
import { Refusal } from "../refusal.ts";
import { badTime } from "./times.ts";

/** Checks messages against the rules in their .proto files, our predefined rules included. */
export const newValidator = (): Validator =>
  createValidator({ registry: createRegistry(file_metalstack_api_v2_predefined_rules) });

/**
 * Refuses requests that break the rules of their messages, as InvalidArgument with the violations as detail, and those with times
 * that cannot be.
 * @param services their request messages' rules are compiled here and now, because the first use of each costs milliseconds
 */
export function validation(services: readonly DescService[], validator: Validator = newValidator()): Interceptor {
  for (const input of new Set(services.flatMap((s) => s.methods.map((m): DescMessage => m.input)))) {
    validator.validate(input, create(input));
  }
  const byRules = createValidateInterceptor({ validator });
  return (next) => byRules(possible(next));
}

const possible: Interceptor = (next) => (request) => {
  const { input } = request.method;
  if (!request.stream) checkTimes(input, request.message);
  return next(request.stream ? { ...request, message: checked(input, request.message) } : request);
};

async function* checked<M extends Message>(input: DescMessage, messages: AsyncIterable<M>): AsyncIterable<M> {
  for await (const message of messages) {
    checkTimes(input, message);
    yield message;
  }
}

function checkTimes(input: DescMessage, message: Message): void {
  const field = badTime(input, message);
  if (field !== undefined) throw new Refusal("invalid", `${field}: there is no such time`, { field });
}
