import { Changes } from "./waiting.ts";

/** That a machine reached a stage. */
export interface Mark {
  readonly machine: string;
  readonly stage: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/**
 * Lines of the serial console that prove a stage, as iPXE, the installer's init and the installed system print them; a
 * login prompt may stand before.
 */
const serialStages: readonly (readonly [RegExp, string])[] = [
  [/^Configuring \(net\d.*ok$|^DHCP \(net\d.*ok$/, "dhcp"],
  [/\.ipxe\.\.\. ?ok/, "script"],
  [/HOLDFAST \S+ init kernel/, "kernel"],
  [/HOLDFAST \S+ phoned-home/, "os up"],
];

export const serialStage = (line: string): string | undefined =>
  serialStages.find(([pattern]) => pattern.test(line))?.[1];

/** Everything that was seen of all machines, in the order of time. */
export class Timeline {
  readonly changes = new Changes();
  readonly #marks: Mark[] = [];
  readonly #listener: ((mark: Mark) => void) | undefined;

  constructor(listener?: (mark: Mark) => void) {
    this.#listener = listener;
  }

  get marks(): readonly Mark[] {
    return this.#marks;
  }

  /** The same stage at the same time is one mark: events are read again at every change of a machine. */
  add(mark: Mark): void {
    const isKnown = this.#marks.some(
      (m) => m.machine === mark.machine && m.stage === mark.stage && m.atMs === mark.atMs,
    );
    if (isKnown) return;
    const at = this.#marks.findLastIndex((m) => m.atMs <= mark.atMs);
    this.#marks.splice(at + 1, 0, mark);
    this.#listener?.(mark);
    this.changes.changed();
  }

  /** First mark of a stage at or after a time. */
  find(machine: string, stage: string, fromMs: number): Mark | undefined {
    return this.#marks.find((m) => m.machine === machine && m.stage === stage && m.atMs >= fromMs);
  }

  until(machine: string, stage: string, fromMs: number, deadlineMs: number): Promise<Mark> {
    const what = `${machine}: ${stage}`;
    const now = () => this.#marks.findLast((m) => m.machine === machine)?.stage ?? "nothing seen";
    return this.changes.until({ what, deadlineMs, now }, () => this.find(machine, stage, fromMs));
  }
}

/** One line per mark of a machine: seconds since the first one, seconds since the one before, stage. */
export function timelineLines(marks: readonly Mark[], machine: string): readonly string[] {
  const own = marks.filter((m) => m.machine === machine);
  return own.map((m, i) => {
    const since = (other: Mark | undefined) => ((m.atMs - (other ?? m).atMs) / 1000).toFixed(1);
    return `${since(own[0]).padStart(7)} s  ${`+${since(own[i - 1])}`.padStart(7)}  ${m.stage}`;
  });
}
