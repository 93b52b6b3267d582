// A refusal travels in gRPC's trailers: those of more than some ten thousand bytes end the stream with an error of HTTP/2. A request
// of 5 MB can break its rules a million times, and the key that breaks them can have 5 MB itself.
import { type ValidationError, type Validator, Violation } from "@bufbuild/protovalidate";

/** Violations that a refusal names; each is some hundred bytes. */
export const violationsMax = 20;
/** Characters of a key of a map that a violation names, and of the text of a refusal. */
const keyMax = 64;
const textMax = 512;

/** The same verdicts, told briefly; the text still says how many violations there are. */
export const brief = ({ validate }: Validator): Validator => ({
  validate(schema, message) {
    const verdict = validate(schema, message);
    if (verdict.kind !== "invalid") return verdict;
    const violations = verdict.violations.slice(0, violationsMax).map(withShortKeys);
    return { ...verdict, violations, error: withShortText(verdict.error) };
  },
});

function withShortKeys({ message, ruleId, field, rule, forKey }: Violation): Violation {
  const path = field.map((part) =>
    part.kind === "map_sub" && typeof part.key === "string" ? { ...part, key: part.key.slice(0, keyMax) } : part,
  );
  return new Violation(message, ruleId, path, rule, forKey);
}

function withShortText(error: ValidationError): ValidationError {
  if (error.message.length > textMax) error.message = `${error.message.slice(0, textMax)}…`;
  return error;
}
