// Points and spans of time that protobuf itself forbids. They can be sent, stored and never be said in JSON: who let one in, could not
// answer any more wherever it is shown.
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type Finder, finder } from "./fields.ts";

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

/** Objects to the first Timestamp or Duration that is out of range. */
export const badTime: Finder = finder({
  concerns: ({ message }) =>
    message?.typeName === TimestampSchema.typeName || message?.typeName === DurationSchema.typeName,
  judge({ message }, value) {
    if (typeof value === "string") return undefined; // key of a map
    const isFine =
      message?.typeName === TimestampSchema.typeName ? isTimestamp(value as Timestamp) : isDuration(value as Duration);
    return isFine ? undefined : "there is no such time";
  },
});
