import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

export const timestamp = (wallMs: number): Timestamp => {
  const seconds = Math.floor(wallMs / 1000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: Math.round((wallMs - seconds * 1000) * 1e6) });
};

export const duration = (ms: number): Duration => {
  const whole = Math.round(ms);
  return create(DurationSchema, { seconds: BigInt(Math.floor(whole / 1000)), nanos: (whole % 1000) * 1_000_000 });
};
