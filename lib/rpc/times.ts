// Points and spans of time that protobuf itself forbids. They can be sent, stored and never be said in JSON: who let one in, could not
// answer any more wherever it is shown.
import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, in seconds. @source google/protobuf/timestamp.proto */
const firstS = -62_135_596_800n;
const lastS = 253_402_300_799n;
/** About 10,000 years. @source google/protobuf/duration.proto */
const spanS = 315_576_000_000n;
const nanosMax = 999_999_999;

const isTimestamp = ({ seconds, nanos }: Timestamp): boolean =>
  seconds >= firstS && seconds <= lastS && nanos >= 0 && nanos <= nanosMax;

const isDuration = ({ seconds, nanos }: Duration): boolean =>
  seconds >= -spanS &&
  seconds <= spanS &&
  Math.abs(nanos) <= nanosMax &&
  !(seconds > 0n && nanos < 0) &&
  !(seconds < 0n && nanos > 0);

/** @returns path of the first Timestamp or Duration that is out of range, such as `events[0].time` */
export function badTime(desc: DescMessage, message: Message): string | undefined {
  return tellsTime(desc) ? look(reflect(desc, message), "") : undefined;
}

function look(at: ReflectMessage, path: string): string | undefined {
  // What is reflected is the message itself.
  if (at.desc.typeName === TimestampSchema.typeName) return isTimestamp(at.message as Timestamp) ? undefined : path;
  if (at.desc.typeName === DurationSchema.typeName) return isDuration(at.message as Duration) ? undefined : path;
  for (const field of timeFields(at.desc)) {
    if (!at.isSet(field)) continue;
    const name = path === "" ? field.name : `${path}.${field.name}`;
    for (const [key, inner] of within(at, field)) {
      const found = look(inner, key === undefined ? name : `${name}[${key}]`);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

type Inner = readonly [key: string | number | undefined, inner: ReflectMessage];

function* within(at: ReflectMessage, field: DescField): Iterable<Inner> {
  // Only fields of messages are looked into.
  if (field.fieldKind === "message") yield [undefined, at.get(field)];
  else if (field.fieldKind === "list")
    for (const [i, item] of at.get(field).entries()) yield [i, item as ReflectMessage];
  else if (field.fieldKind === "map")
    for (const [key, item] of at.get(field).entries()) yield [String(key), item as ReflectMessage];
}

const fieldsOf = new Map<DescMessage, readonly DescField[]>();

/** Those below which there is a time; kept, because requests come often and descriptors stay. */
function timeFields(desc: DescMessage): readonly DescField[] {
  const known = fieldsOf.get(desc);
  if (known !== undefined) return known;
  const found = desc.fields.filter((field) => field.message !== undefined && tellsTime(field.message));
  fieldsOf.set(desc, found);
  return found;
}

function tellsTime(desc: DescMessage, above: readonly DescMessage[] = []): boolean {
  if (desc.typeName === TimestampSchema.typeName || desc.typeName === DurationSchema.typeName) return true;
  if (fieldsOf.has(desc)) return timeFields(desc).length > 0;
  if (above.includes(desc)) return false;
  return desc.fields.some((field) => field.message !== undefined && tellsTime(field.message, [...above, desc]));
}
