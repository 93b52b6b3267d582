// The agent's side of the link to central. Nothing else knows whether the link is up, and nothing else needs to.
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type FollowRequest,
  FollowRequestSchema,
  type FollowResponse,
  type ReportRequest,
  ReportRequestSchema,
  type ReportResponse,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import { Bell, rung } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import { withDeadline } from "#lib/deadline.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import type { Log } from "#lib/log.ts";
import { noLonger } from "#lib/no-longer.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { sometimes } from "#lib/sometimes.ts";
import type { CentralTime } from "./central-time.ts";
import { FollowStream, type FollowStreamPorts } from "./follow.ts";
import type { Lives } from "./lives.ts";
import { isDisplacement, isRefusal } from "./refusal.ts";
import { backOffMs, idle, type LinkEvent, type LinkState, stepLink } from "./step.ts";

/** Version of holdfast.sync.v1 that this agent speaks. */
const protocol = 3;
/** Central beats every 5 s; this much silence means that the stream is dead. */
const silenceMs = 20_000;
/** So often an agent reports at least, if only that it lives. Central leaves one that was silent for three of these. */
const beatMs = 10_000;
const reportBatch = 32;
/** Of the values in one report, well under central's limit for a message. */
const reportBytesMax = 4 << 20;
const reportDeadlineMs = 15_000;

/** The two calls of holdfast.sync.v1, handed in so that the link runs over any transport. */
export interface SyncClient {
  follow(request: FollowRequest, signal: AbortSignal): AsyncIterable<FollowResponse>;
  report(request: ReportRequest, signal: AbortSignal): Promise<ReportResponse>;
}

export interface LinkPorts extends FollowStreamPorts {
  readonly partition: string;
  readonly lives: Lives;
  readonly centralTime: CentralTime;
  readonly client: SyncClient;
  /** History to which all that was seen is told once the outbox is empty; empty when there is none yet. */
  readonly told: () => string;
  /** Called when central says that another agent is connected under this one's identity. */
  readonly displaced: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class Link {
  readonly #ports: LinkPorts;
  readonly #outboxBell = new Bell();
  readonly #earlierBell = new Bell();
  /** Central has given back what this life may have forgotten. A report before that would pass for all that is known here. */
  #isRecollected = false;
  /** What each of the two loops failed of last; told once, until it went well in between. */
  readonly #troubles = new Map<"follow" | "report", string>();
  #state: LinkState;

  constructor(ports: LinkPorts) {
    this.#ports = ports;
    this.#state = idle(ports.clock.wallMs());
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
    await Promise.all([this.#followOn(signal), this.#reportOn(signal)]);
    this.#step({ kind: "stopped" });
  }

  async #followOn(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    while (!signal.aborted) {
      const dialledMs = clock.monotonicMs();
      try {
        this.#step({ kind: "dialled" });
        await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        const heldMs = clock.monotonicMs() - dialledMs;
        const why = this.#tell("follow", error);
        if (isDisplacement(error)) this.#ports.displaced();
        this.#step({ kind: "broke", why, isRefusal: isRefusal(error), heldMs, chance: this.#chance() });
      }
      await this.#backOff(signal);
    }
  }

  /** Until it is time for the next attempt, which may come to be earlier. */
  async #backOff(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    const state = this.#state;
    await rung(this.#earlierBell, clock, state.waitMs, signal);
    if (this.#state !== state) await clock.sleep(this.#state.waitMs, signal).catch(() => {});
  }

  async #reportOn(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (await this.#report(signal)) failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        this.#tell("report", error);
        await clock.sleep(backOffMs(++failures, this.#chance()), signal).catch(() => {});
      }
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { client, ledger, outbox, partition, lives, clock, centralTime } = this.#ports;
    const { history, revision } = ledger.followed;
    const own = { outbox: outbox.id, sequence: outbox.sequence, former: [...lives.former] };
    const request = create(FollowRequestSchema, {
      partition,
      agent: lives.present,
      protocol,
      history,
      afterRevision: revision,
      ...own,
    });
    const stop = linkedSignal(signal);
    const quiet = new Error(`central was silent for ${silenceMs} ms`);
    const watchdog = new Watchdog(clock, silenceMs, () => stop.abort(quiet));
    const stream = new FollowStream(this.#ports);
    const asked = centralTime.moment;
    let isCurrent = false;
    try {
      for await (const message of client.follow(request, stop.signal)) {
        watchdog.feed();
        const { event } = message;
        // Of a later one it is not known when it was said.
        if (event.case === "heartbeat" && !isCurrent) {
          isCurrent = true;
          centralTime.said(event.value.time && timestampMs(event.value.time), asked);
        }
        await stream.take(message);
        if (event.case !== "recollection" && !this.#isRecollected) {
          this.#isRecollected = true;
          this.#outboxBell.ring();
        }
        this.#troubles.delete("follow");
        this.#step({ kind: "heard", what: event.case === "heartbeat" ? "current" : "a part" });
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

  /**
   * Reports what there is; without anything, that the agent lives, when it is time to say so.
   * @returns whether central was asked
   */
  async #report(signal: AbortSignal): Promise<boolean> {
    const { client, outbox, partition, lives, clock, told, tellAll, centralTime } = this.#ports;
    if (!this.#isRecollected) {
      await this.#outboxBell.wait(signal);
      return false;
    }
    if (outbox.size === 0) {
      // Those that began together need not go on together.
      await rung(this.#outboxBell, clock, beatMs * (1 - this.#chance() / 4), signal);
      // Whoever is not connected has nobody to tell that it lives.
      if (outbox.size === 0 && (signal.aborted || this.#state.phase !== "following")) return false;
    }
    await lives.keep();
    const entries = outbox.pending(reportBatch, reportBytesMax);
    const history = entries.length === outbox.size ? told() : "";
    const request = create(ReportRequestSchema, {
      partition,
      agent: lives.present,
      protocol,
      outbox: outbox.id,
      entries: [...entries],
      history,
    });
    const asked = centralTime.moment;
    const { acknowledged, rejected, turn, time } = await withDeadline(
      clock,
      reportDeadlineMs,
      "report to central",
      signal,
      (s) => client.report(request, s),
    );
    centralTime.said(time && timestampMs(time), asked);
    this.#step({ kind: "answered", chance: this.#chance() });
    await outbox.acknowledge(acknowledged, rejected);
    await tellAll({ turn });
    const [first] = entries;
    // Sent again at once it would be the same again, for ever.
    if (first && acknowledged < first.sequence)
      throw new Error(`central acknowledged ${acknowledged}, which is before the ${first.sequence} that it was sent`);
    this.#troubles.delete("report");
    return true;
  }

  #step(event: LinkEvent): void {
    const { clock, log, ledger } = this.#ports;
    const before = this.#state;
    this.#state = stepLink(before, event, clock.wallMs());
    if (event.kind === "answered" && this.#state !== before) this.#earlierBell.ring();
    if (this.#state.phase === "following" && before.phase !== "following")
      log.info("link-up", { revision: `${ledger.followed.revision}` });
  }

  /** The same trouble is told once. @returns it in words */
  #tell(name: "follow" | "report", error: unknown): string {
    const text = reasonOf(error);
    if (text !== this.#troubles.get(name)) this.#ports.log.warn("link-lost", { name, error: text });
    this.#troubles.set(name, text);
    return text;
  }

  #chance(): number {
    return this.#ports.random.below(1_000) / 1_000;
  }
}

/** Calls `bark` once when it was not fed for `ms`. It looks when that could be so, instead of setting its alarm anew at each feeding. */
class Watchdog {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #bark: () => void;
  readonly #timer = new AbortController();
  #fedMs: number;

  constructor(clock: Clock, ms: number, bark: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#bark = bark;
    this.#fedMs = clock.monotonicMs();
    this.#look(ms);
  }

  feed(): void {
    this.#fedMs = this.#clock.monotonicMs();
  }

  stop(): void {
    this.#timer.abort(noLonger);
  }

  #look(inMs: number): void {
    const look = () => {
      const leftMs = this.#fedMs + this.#ms - this.#clock.monotonicMs();
      if (leftMs > 0) this.#look(leftMs);
      else this.#bark();
    };
    this.#clock.sleep(inMs, this.#timer.signal).then(look, () => {});
  }
}
