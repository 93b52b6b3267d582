import { inspect } from "node:util";
import type { Log, LogFields } from "#lib/log.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { Life } from "./life.ts";
import type { Time } from "./time.ts";

/** Everything that was said in a run, in order: what two runs of one seed must have alike, and what people read. */
export class Trace {
  readonly lines: string[] = [];
  /** What was come by of `sometimes`. */
  readonly marks = new Set<string>();
  readonly #time: Time;
  /** Told of every line. */
  onLine: (line: string) => void = () => {};
  /** Told of every event of a process. */
  onEvent: (who: string, event: string, fields: LogFields) => void = () => {};

  constructor(time: Time) {
    this.#time = time;
  }

  say(text: string): void {
    const line = `${clockText(this.#time.nowMs)} ${text}`;
    this.lines.push(line);
    this.onLine(line);
  }

  logOf(life: Life, own: LogFields = {}): Log {
    const note = (event: string, fields: LogFields = {}) => {
      if (!life.isAlive) return;
      life.acts();
      const all = { ...own, ...fields };
      this.say(`${life.name} ${event}${fieldsText(all)}`);
      this.onEvent(life.name, event, all);
    };
    return {
      debug: (event, fields) => {
        if (event === "sometimes" && life.isAlive) this.marks.add(String(fields?.name));
      },
      info: note,
      warn: note,
      error: note,
      child: (fields) => this.logOf(life, { ...own, ...fields }),
    };
  }
}

export function clockText(ms: number): string {
  const s = Math.floor(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}.${String(Math.floor(ms % 1000)).padStart(3, "0")}`;
}

const fieldsText = (fields: LogFields): string =>
  Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${valueText(value)}`)
    .join("");

const valueText = (value: unknown): string =>
  typeof value === "object" && !(value instanceof Error) ? inspect(value, { breakLength: Infinity }) : reasonOf(value);
