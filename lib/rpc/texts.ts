// Texts that are not what they seem. No text holds control characters but white space. A name, by which people tell things apart and
// whom they trust, also holds no invisible or direction-changing characters, and no word of it is made of letters of alphabets that look
// alike: `аcme` with a Cyrillic а is not `acme`.
import { type DescField, getExtension, getOption, hasExtension, ScalarType } from "@bufbuild/protobuf";
import { field as fieldRules, type StringRules } from "#gen/buf/validate/validate_pb.ts";
import { is_name, is_partition, is_tenant_login, is_user } from "#gen/metalstack/api/v2/predefined_rules_pb.ts";
import { type Finder, finder } from "./fields.ts";

/** C0 and C1 without tab, line feed and carriage return. @source Unicode, general category Cc */
const controls = /[^\P{Cc}\t\n\r]/u;
const whiteSpace = /[\t\n\r\u2028\u2029]/u;
/** Among them zero-width characters and overrides of the direction of writing. @source Unicode, general category Cf */
const invisible = /\p{Cf}/u;
/** Alphabets with letters of the same shape. @source UTS #39 §5.1, and its table of confusables */
const alike = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Cherokee}/u,
];
const words = /[\p{L}\p{M}\p{N}]+/gu;

const code = (found: RegExpExecArray): string =>
  `U+${(found[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Why a text cannot be taken; undefined when it can. */
export function badPlainText(text: string): string | undefined {
  const found = controls.exec(text);
  return found ? `the control character ${code(found)} is not for texts` : undefined;
}

/** Why a text cannot be a name; undefined when it can. */
export function badName(text: string): string | undefined {
  const found = controls.exec(text) ?? whiteSpace.exec(text) ?? invisible.exec(text);
  if (found) return `the character ${code(found)} cannot be seen in a name`;
  const mixed = (text.match(words) ?? []).find((word) => alike.filter((letters) => letters.test(word)).length > 1);
  return mixed === undefined
    ? undefined
    : `the word ${mixed.slice(0, 64)} mixes letters of alphabets that look alike: use those of one`;
}

/** Objects to the first text of a message that is none. */
export const badText: Finder = finder({
  concerns: (field) => field.scalar === ScalarType.STRING || field.fieldKind === "map",
  judge(field, value) {
    if (typeof value !== "string") return undefined;
    return isName(field) ? badName(value) : badPlainText(value);
  },
});

const named = new Map<DescField, boolean>();

function isName(field: DescField): boolean {
  const known = named.get(field);
  if (known !== undefined) return known;
  const rules = stringRules(field);
  const isSo =
    rules !== undefined &&
    [is_name, is_tenant_login, is_user, is_partition].some(
      (rule) => hasExtension(rules, rule) && getExtension(rules, rule),
    );
  named.set(field, isSo);
  return isSo;
}

/** Of a list's items, where it is one. */
function stringRules(field: DescField): StringRules | undefined {
  const { type } = getOption(field, fieldRules);
  const own = type.case === "repeated" ? type.value.items?.type : type;
  return own?.case === "string" ? own.value : undefined;
}
