// The agent's side of the link to central. Nothing else knows whether the link is up, and nothing else needs to.
import { create } from "@bufbuild/protobuf";
import {
  type FollowRequest,
  FollowRequestSchema,
  type FollowResponse,
  type ReportEntry,
  type ReportRequest,
  ReportRequestSchema,
  type ReportResponse,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import { Bell } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import { withDeadline } from "#lib/deadline.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { sometimes } from "#lib/sometimes.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { FollowStream } from "./follow.ts";

/** Version of holdfast.sync.v1 that this agent speaks. */
const protocol = 1;
/** Central beats every 5 s; this much silence means that the stream is dead. */
const silenceMs = 20_000;
const reportBatch = 32;
/** Of the values in one report, well under central's limit for a message. */
const reportBytesMax = 4 << 20;
const reportDeadlineMs = 15_000;
const retryFirstMs = 500;
const retryMaxMs = 10_000;

/** The two calls of holdfast.sync.v1, handed in so that the link runs over any transport. */
export interface SyncClient {
  follow(request: FollowRequest, signal: AbortSignal): AsyncIterable<FollowResponse>;
  report(request: ReportRequest, signal: AbortSignal): Promise<ReportResponse>;
}

export interface LinkPorts {
  readonly partition: string;
  /** Identity of this life of the agent. */
  readonly agent: string;
  readonly client: SyncClient;
  readonly ledger: Ledger;
  readonly outbox: Outbox;
  /** Takes back what this agent once reported of its machines. */
  readonly recollect: (entries: readonly ReportEntry[]) => Promise<void>;
  /** Called when central has told all that it knows, and again whenever it says that it has nothing newer. */
  readonly upToDate: () => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface LinkState {
  readonly phase: "connecting" | "following" | "backing off";
  /** Wall-clock milliseconds. */
  readonly sinceMs: number;
  readonly lastError: string | undefined;
}

export class Link {
  readonly #ports: LinkPorts;
  readonly #outboxBell = new Bell();
  /** What each of the two loops failed of last; told once, until it went well in between. */
  readonly #troubles = new Map<string, string>();
  #state: LinkState;

  constructor(ports: LinkPorts) {
    this.#ports = ports;
    this.#state = { phase: "connecting", sinceMs: ports.clock.wallMs(), lastError: undefined };
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Something was put into the outbox. */
  wake(): void {
    this.#outboxBell.ring();
  }

  /** Follows and reports until the signal aborts; a broken link is retried for ever. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#forever("follow", signal, () => this.#follow(signal)),
      this.#forever("report", signal, () => this.#report(signal)),
    ]);
  }

  async #forever(name: string, signal: AbortSignal, attempt: () => Promise<void>): Promise<void> {
    const { clock, random, log } = this.#ports;
    for (let failures = 0; !signal.aborted; ) {
      if (name === "follow" && failures > 0) this.#enter("connecting", this.#troubles.get(name));
      const startedMs = clock.monotonicMs();
      try {
        await attempt();
      } catch (error) {
        if (signal.aborted) return;
        if (clock.monotonicMs() - startedMs > retryMaxMs) failures = 0;
        const text = reasonOf(error);
        if (text !== this.#troubles.get(name)) log.warn("link-lost", { name, error: text });
        this.#troubles.set(name, text);
        if (name === "follow") this.#enter("backing off", text);
      }
      const ceilingMs = Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(failures++, 8));
      await clock.sleep(ceilingMs / 2 + random.below(Math.ceil(ceilingMs / 2)), signal).catch(() => {});
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { client, ledger, outbox, partition, agent, clock } = this.#ports;
    const { history, revision } = ledger.cursor;
    const own = { outbox: outbox.id, sequence: outbox.sequence };
    const request = create(FollowRequestSchema, {
      partition,
      agent,
      protocol,
      history,
      afterRevision: revision,
      ...own,
    });
    const stop = linkedSignal(signal);
    const quiet = new Error(`central was silent for ${silenceMs} ms`);
    const watchdog = new Watchdog(clock, silenceMs, () => stop.abort(quiet));
    const stream = new FollowStream(this.#ports);
    try {
      for await (const message of client.follow(request, stop.signal)) {
        watchdog.feed();
        await stream.take(message);
        this.#troubles.delete("follow");
        if (this.#state.phase !== "following") this.#enter("following", undefined);
      }
      throw new Error("central ended the stream");
    } catch (error) {
      if (stop.signal.reason === quiet) sometimes(this.#ports.log, "central was silent, and the agent left it");
      throw stop.signal.reason === quiet ? quiet : error;
    } finally {
      watchdog.stop();
      stop.unlink();
      // Leaving the loop does not stop the other side.
      stop.abort(new Error("the stream is left"));
    }
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { client, outbox, partition, agent, clock } = this.#ports;
    while (!signal.aborted) {
      const entries = outbox.pending(reportBatch, reportBytesMax);
      const [first] = entries;
      if (first === undefined) {
        await this.#outboxBell.wait(signal);
        continue;
      }
      const request = create(ReportRequestSchema, { partition, agent, outbox: outbox.id, entries: [...entries] });
      const { acknowledged, rejected } = await withDeadline(clock, reportDeadlineMs, "report to central", signal, (s) =>
        client.report(request, s),
      );
      await outbox.acknowledge(acknowledged, rejected);
      // Sent again at once it would be the same again, for ever.
      if (acknowledged < first.sequence)
        throw new Error(`central acknowledged ${acknowledged}, which is before the ${first.sequence} that it was sent`);
      this.#troubles.delete("report");
    }
  }

  #enter(phase: LinkState["phase"], lastError: string | undefined): void {
    const { clock, log } = this.#ports;
    if (phase === "following" && this.#state.phase !== "following")
      log.info("link-up", { revision: `${this.#ports.ledger.cursor.revision}` });
    this.#state = { phase, sinceMs: clock.wallMs(), lastError };
  }
}

/** Calls `bark` once when it was not fed for `ms`. */
class Watchdog {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #bark: () => void;
  #timer = new AbortController();

  constructor(clock: Clock, ms: number, bark: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#bark = bark;
    this.feed();
  }

  feed(): void {
    this.#timer.abort();
    this.#timer = new AbortController();
    this.#clock.sleep(this.#ms, this.#timer.signal).then(this.#bark, () => {});
  }

  stop(): void {
    this.#timer.abort();
  }
}
