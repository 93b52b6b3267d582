import { create, createRegistry, type DescMessage, type DescService } from "@bufbuild/protobuf";
import { createValidator, type Validator } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { createValidateInterceptor } from "@connectrpc/validate";
import { file_metalstack_api_v2_predefined_rules } from "#gen/metalstack/api/v2/predefined_rules_pb.ts";

/** Checks messages against the rules in their .proto files, our predefined rules included. */
export const newValidator = (): Validator =>
  createValidator({ registry: createRegistry(file_metalstack_api_v2_predefined_rules) });

/**
 * Refuses requests that break the rules of their messages, as InvalidArgument with the violations as detail.
 * @param services their request messages' rules are compiled here and now, because the first use of each costs milliseconds
 */
export function validation(services: readonly DescService[], validator: Validator = newValidator()): Interceptor {
  for (const input of new Set(services.flatMap((s) => s.methods.map((m): DescMessage => m.input)))) {
    validator.validate(input, create(input));
  }
  return createValidateInterceptor({ validator });
}
