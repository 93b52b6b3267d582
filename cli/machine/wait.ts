import type { WatchResponse } from "#gen/holdfast/api/v1/machine_pb.ts";
import { type Api, type Cli, note } from "../cli.ts";
import { Failure } from "../failure.ts";
import { durationText } from "../view/time.ts";
import { type Observed, observe } from "./observe.ts";
import { currentText, lastFailure, stagesOf, stageText } from "./stages.ts";

export interface Awaited {
  readonly observed: Observed & { readonly uuid: string };
  /** What is waited for, for the time-out: "installed". */
  readonly goal: string;
  /** Happenings from here on are shown; since 1970 by the server's clock. */
  readonly sinceMs: number;
  readonly timeoutMs: number;
  /** Pure. @returns how it ended; undefined while it has not */
  readonly verdict: (view: WatchResponse) => { readonly failure?: string } | undefined;
}

/**
 * Shows each stage as it comes until the verdict is in.
 * @returns the last view
 * @throws {Failure} with the reason, when the verdict is a failure or the time is over
 */
export async function waitFor(cli: Cli, api: Api, wanted: Awaited): Promise<WatchResponse> {
  const over = new AbortController();
  const signal = AbortSignal.any([cli.signal, over.signal]);
  const seen = new Set<string>();
  const live = new LiveLine(cli, wanted.sinceMs);
  let latest: WatchResponse | undefined;
  const owned = Promise.allSettled([
    cli.clock.sleep(wanted.timeoutMs, signal).then(() => over.abort(new Failure(timeoutText(wanted, latest)))),
    live.run(signal),
  ]);
  try {
    const onCut = () => live.show("the server is away; trying again");
    for await (const view of observe(api, wanted.observed, { clock: cli.clock, signal, onCut })) {
      const verdict = view.machine?.uuid === wanted.observed.uuid ? wanted.verdict(view) : undefined;
      if (view.machine?.uuid !== wanted.observed.uuid) continue;
      latest = view;
      for (const stage of stagesOf(view, wanted.sinceMs).filter((s) => !seen.has(s.key))) {
        seen.add(stage.key);
        live.line(stageText(stage, wanted.sinceMs));
      }
      live.show(currentText(view));
      if (verdict?.failure !== undefined) throw new Failure(verdict.failure);
      if (verdict) return view;
    }
    throw new Failure("the stream of changes ended");
  } finally {
    over.abort(new Error("over"));
    await owned;
    live.clear();
  }
}

function timeoutText(wanted: Awaited, latest: WatchResponse | undefined): string {
  const because = latest && (lastFailure(latest, wanted.sinceMs) ?? currentText(latest));
  const head = `machine ${wanted.observed.uuid} is not ${wanted.goal} after ${durationText(wanted.timeoutMs)}`;
  return `${head}${because ? `: ${because}` : ""}; it goes on without this command: holdfast machine why ${wanted.observed.uuid}`;
}

const redrawMs = 250;

/** The bottom line of a terminal, redrawn while time passes; elsewhere there is none. */
class LiveLine {
  readonly #cli: Cli;
  readonly #sinceMs: number;
  #text = "";

  constructor(cli: Cli, sinceMs: number) {
    this.#cli = cli;
    this.#sinceMs = sinceMs;
  }

  show(text: string): void {
    this.#text = text;
    this.#draw();
  }

  line(text: string): void {
    this.clear();
    note(this.#cli, text);
    this.#draw();
  }

  clear(): void {
    if (this.#cli.isLive) this.#cli.process.stderr.write("\r\u001b[2K");
  }

  async run(signal: AbortSignal): Promise<void> {
    while (this.#cli.isLive) {
      await this.#cli.clock.sleep(redrawMs, signal);
      this.#draw();
    }
  }

  #draw(): void {
    if (!this.#cli.isLive || this.#text === "") return;
    const elapsed = `+${durationText(this.#cli.clock.wallMs() - this.#sinceMs)}`.padStart(9);
    this.#cli.process.stderr.write(`\r\u001b[2K${elapsed}  … ${this.#text}`.slice(0, 200));
  }
}
