// What of a request or an answer is written down: JSON without secrets, and never long, whatever was sent.
import { create, type DescMessage, type Message, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { reasonOf } from "#lib/reason-of.ts";
import { whole } from "#lib/whole.ts";
import { isSecret, struck } from "./secret-fields.ts";

/** Characters of a body; of one text in it; and entries of one list or map in it. What is more is left out. */
export const bodyMax = 8192;
const textMax = 1024;
const entriesMax = 32;
/** Messages in one body. */
const messagesMax = 512;

export interface Body {
  /** JSON, or the beginning of it and `…` where it is longer than `bodyMax`. */
  readonly text: string;
  /** The secrets that were struck out, so that they can be struck out of other texts about the same call. */
  readonly secrets: readonly string[];
}

export function bodyOf<S extends DescMessage>(schema: S, message: MessageShape<S>): Body {
  const secrets: string[] = [];
  const copy = create(schema);
  try {
    copied(reflect(schema, message), reflect(schema, copy), { secrets, messages: 0 });
    return { text: bounded(JSON.stringify(toJson(schema, copy))), secrets };
  } catch (error) {
    // Such as a time beyond the year 9999, which JSON cannot say and the rules of the request refuse a moment later.
    return { text: bounded(JSON.stringify({ unreadable: struck(reasonOf(error), textMax) })), secrets };
  }
}

/** What is written down of a call that failed. @param secrets of its request */
export function failureBody(code: string, message: string, secrets: readonly string[]): string {
  let text = message;
  for (const secret of secrets) if (secret.length > 3) text = text.replaceAll(secret, "***");
  return bounded(JSON.stringify({ code, message: struck(text, textMax) }));
}

const bounded = (text: string): string => (text.length > bodyMax ? `${whole(text, bodyMax - 1)}…` : text);

interface Progress {
  readonly secrets: string[];
  messages: number;
}

function copied(from: ReflectMessage, to: ReflectMessage, progress: Progress): void {
  if (++progress.messages > messagesMax) return;
  for (const field of from.fields) {
    if (!from.isSet(field)) continue;
    if (isSecret(field)) {
      strike(from, to, field, progress);
      continue;
    }
    switch (field.fieldKind) {
      case "scalar":
        to.set(field, shortened(from.get(field)));
        break;
      case "enum":
        to.set(field, from.get(field));
        break;
      case "message":
        to.set(field, copyOf(from.get(field), progress));
        break;
      case "list": {
        const list = to.get(field);
        for (const item of firsts(from.get(field)))
          list.add(isReflected(item) ? copyOf(item, progress) : shortened(item));
        break;
      }
      case "map": {
        const map = to.get(field);
        for (const [key, value] of firsts(from.get(field)))
          map.set(shortened(key), isReflected(value) ? copyOf(value, progress) : shortened(value));
        break;
      }
    }
  }
}

/** A text that is there shows as `***`; all other secrets do not show at all. */
function strike(
  from: ReflectMessage,
  to: ReflectMessage,
  field: Parameters<typeof isSecret>[0],
  progress: Progress,
): void {
  const value = from.get(field);
  if (field.fieldKind !== "scalar" || typeof value !== "string") return;
  progress.secrets.push(value);
  to.set(field, "***");
}

function copyOf(from: ReflectMessage, progress: Progress): ReflectMessage {
  const to = reflect(from.desc, create(from.desc) as Message);
  copied(from, to, progress);
  return to;
}

function* firsts<T>(values: Iterable<T>): Iterable<T> {
  let count = 0;
  for (const value of values) {
    if (++count > entriesMax) return;
    yield value;
  }
}

const shortened = <T>(value: T): T => (typeof value === "string" ? (struck(value, textMax) as T) : value);

const isReflected = (value: unknown): value is ReflectMessage =>
  typeof value === "object" && value !== null && "desc" in value && "fields" in value;
