import { type Message, toBinary } from "@bufbuild/protobuf";
import type { Thing } from "#gen/holdfast/api/v1/thing_pb.ts";
import { firstIndex } from "#lib/first-index.ts";
import type { Kind } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { candidates } from "../things/candidates.ts";
import type { ThingKind } from "../things/kinds.ts";
import { type Question, thingFor } from "../things/question.ts";
import type { Sight } from "../things/sight.ts";

/** Of what one page is made, as it is stored; gRPC clients often take no message above 4 MiB. */
const pageBytesMax = 3_000_000;

export interface Page {
  readonly things: readonly Thing[];
  /** Id of the last one; undefined when no more can follow. */
  readonly lastId: string | undefined;
}

/** @param after id after which the page begins; undefined for the first page */
export function pageOf(
  state: State,
  question: Question,
  sight: Sight,
  { kind, after, size }: { readonly kind: ThingKind; readonly after: string | undefined; readonly size: number },
): Page {
  const rows = candidates(state, question, kind);
  const things: Thing[] = [];
  let bytes = 0;
  // What the last page ended with may be gone.
  for (let i = after === undefined ? 0 : firstIndex(rows, (row) => row.id > after); i < rows.length; i++) {
    const { id } = rows[i]!;
    const thing = thingFor(state, question, sight, { kind, id });
    if (thing === undefined) continue;
    bytes += storedBytes(state, kind, id);
    if (things.length > 0 && (things.length === size || bytes > pageBytesMax)) {
      return { things, lastId: things.at(-1)?.id };
    }
    things.push(thing);
  }
  return { things, lastId: undefined };
}

/** Stored values are shared and never change. */
const lengths = new WeakMap<Message, number>();

function storedBytes(state: State, { kind, halves }: ThingKind, id: string): number {
  return [kind, ...halves].reduce((sum, one) => sum + lengthOf(one, state.get(one, id)?.value), 0);
}

function lengthOf(kind: Kind, value: Message | undefined): number {
  if (value === undefined) return 0;
  const length = lengths.get(value) ?? toBinary(kind.schema, value).length;
  lengths.set(value, length);
  return length;
}
