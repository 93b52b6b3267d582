// What a commit changes of what people want is written down by that very commit: no crash comes between the two, and its revision is
// that of the record. One put more, whatever is changed.
import { type Message, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import { type Kind, keyOf, kinds, recorded } from "../store/kinds.ts";
import { timedId } from "../store/retention.ts";
import type { Put } from "../store/store.ts";
import { withoutSecrets } from "../things/without-secrets.ts";
import type { Cause } from "./cause.ts";

/** One key that a commit writes. */
export interface Written {
  readonly kind: Kind;
  readonly id: string;
  readonly before: Message | undefined;
  readonly after: Message | undefined;
}

/** Bytes of former values that one commit keeps; what is beyond that is named, and left out. */
export const formerBytesMax = 262_144;

/** @returns undefined when nothing changes that is recorded */
export function changePut(
  written: readonly Written[],
  cause: Cause,
  { clock, random, room }: { readonly clock: Clock; readonly random: Random; readonly room: number },
): Put | undefined {
  let left = Math.min(formerBytesMax, room);
  let writer: BinaryWriter | undefined;
  for (const { kind, id, before, after } of written) {
    if (!recorded.has(kind.name) || (before === undefined && after === undefined)) continue;
    const former = before && toBinary(kind.schema, withoutSecrets(kind.schema, before));
    writer ??= begun(cause);
    writer.tag(field.things, WireType.LengthDelimited).fork();
    text(writer, field.kind, kind.name);
    text(writer, field.id, id);
    if (former !== undefined && former.length <= left) {
      left -= former.length;
      writer.tag(field.former, WireType.LengthDelimited).bytes(former);
    } else if (former !== undefined) writer.tag(field.leftOutBytes, WireType.Varint).uint64(former.length);
    writer.join();
  }
  if (writer === undefined) return undefined;
  return { key: keyOf(kinds.change, timedId(clock.wallMs(), random.uuid())), value: writer.finish() };
}

// Written by hand: this is done for every allocation, and takes a quarter of the time that it takes by the descriptors.

/** @source proto/holdfast/state/v1/change.proto; a test reads what was written by the descriptors */
const field = { actor: 1, method: 2, reason: 3, things: 4, kind: 1, id: 2, former: 3, leftOutBytes: 4 } as const;

function begun({ actor, method, reason }: Cause): BinaryWriter {
  const writer = new BinaryWriter();
  text(writer, field.actor, actor);
  text(writer, field.method, method);
  text(writer, field.reason, reason);
  return writer;
}

function text(writer: BinaryWriter, number: number, value: string): void {
  if (value !== "") writer.tag(number, WireType.LengthDelimited).string(value);
}
