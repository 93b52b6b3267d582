// Invariant 12: what only some may read has marks in it, which are looked for wherever others read.
import { toBinary } from "@bufbuild/protobuf";
import { kinds } from "#central/store/kinds.ts";
import { type MachineObserved, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Judge } from "./judge.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** Twelve characters: whatever follows, they are the same in base64. */
const mark = base64("canary-from-");

/** What a tenant gives its machine along as userdata: for the agent of that partition alone, and for nobody's eyes. */
export const secretOf = (partition: string): string => base64(`canary-from-${partition}`);

/** In the agents' signed tokens and in userdata, in clear or in base64. */
const canary = /canary-[0-9a-f]{4}|Y2FuYXJ5/;

export class Secrets {
  readonly #judge: Judge;
  /** As they were looked at last, by uuid. */
  readonly #looked = new Map<string, MachineObserved>();

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** A line of log, or the text of an error that somebody was answered. */
  onSaid(line: string): void {
    if (canary.test(line)) this.#judge.fail(12, line.slice(0, 200));
  }

  /** Central has told the agent of a partition this. */
  onTold(partition: string, value: Uint8Array): void {
    this.#judge.checked();
    const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    const own = secretOf(partition);
    for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + 1))
      if (text.toString("latin1", at, at + own.length) !== own)
        this.#judge.fail(12, `the agent of ${partition} is told what is of another partition`);
  }

  /** The store has changed: events, steps, effects and outcomes of machines are for everybody's eyes. */
  check(): void {
    for (const { id, value } of this.#judge.seen.truth.list(kinds.machineObserved)) {
      if (this.#looked.get(id) === value) continue;
      this.#looked.set(id, value);
      const text = Buffer.from(toBinary(MachineObservedSchema, value)).toString("latin1");
      if (canary.test(text)) this.#judge.fail(12, `what is shown of machine ${id} has a secret in it`);
    }
  }
}
