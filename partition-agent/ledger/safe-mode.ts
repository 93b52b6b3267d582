// An agent that cannot trust what it remembers, or what it is told, serves the datacenter and does nothing that cannot be taken back:
// it wipes nothing, switches nothing and moves no port, until central has told it everything again, or until somebody has accepted
// the history that central tells now. A disk that was set back in place looks like any other: so every life begins with a pause in which
// central can say that it is, and goes on without central after that.
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import { sometimes } from "#lib/sometimes.ts";
import type { Ledger } from "./ledger.ts";

const table = "disk-identity";
const key = "identity";
/** Longer than central takes to be heard when it can be. */
export const cautionMs = 30_000;
const caution = `central to be heard, for at most ${cautionMs / 1000} s after a start: the disk may have been set back`;

export interface SafeModePorts {
  readonly disk: Disk;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when it ends. */
  readonly ended: () => void;
}

export class SafeMode {
  readonly #ports: SafeModePorts;
  /** The disk is another one than what is on it was written to. */
  readonly isCopy: boolean;
  #why: string | undefined;

  private constructor(ports: SafeModePorts, distrust: string | undefined, isCopy: boolean) {
    this.#ports = ports;
    this.isCopy = isCopy;
    this.#why = distrust ?? caution;
    if (distrust !== undefined) ports.log.warn("safe-mode", { why: distrust });
  }

  /** A disk that is new here remembers from now on which one it is. */
  static async open(ports: SafeModePorts): Promise<SafeMode> {
    const { disk, ledger } = ports;
    const stored = disk.get(table, key);
    const isCopy = stored !== undefined && new TextDecoder().decode(stored) !== disk.identity;
    if (stored === undefined) await disk.write([identityRow(disk.identity)]);
    return new SafeMode(ports, reasonFor(isCopy, ledger), isCopy);
  }

  /** What has to happen before it ends, in words for people; undefined: the agent may do everything. */
  get why(): string | undefined {
    return this.#why ?? reasonToHold(this.#ports.ledger);
  }

  /** The agent begins to act: what is only caution ends by itself. Resolves when it has ended, or the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#ports;
    await clock.sleep(cautionMs, signal).catch(() => {});
    if (signal.aborted || this.#why !== caution) return;
    sometimes(log, "an agent acted without having heard central since its start");
    this.#end();
  }

  /** The disk is older than what was reported from it. Known in the next lives, too. Resolves when it is durable. */
  async setBack(): Promise<void> {
    const { disk, log } = this.#ports;
    sometimes(log, "an agent's disk was set back in place");
    const why = "central to be heard: the agent's disk was set back, and is older than what it had reported";
    log.error("safe-mode", { why });
    this.#why = why;
    await disk.write([identityRow("set back")]);
  }

  /**
   * Another agent is connected under this one's identity: that one acts for the partition, and two would do the same work on the same
   * machines. Forgotten at the next start: an agent that cannot reach central has nobody who says so.
   */
  displaced(): void {
    const { log } = this.#ports;
    const why =
      "central to let this agent in: another one is connected under its identity; one of them is to be stopped";
    if (this.#why === why) return;
    sometimes(log, "an agent was displaced by another one");
    log.error("safe-mode", { why });
    this.#why = why;
  }

  /** Central has told all that it knows: what is remembered here is as new as what it wants. */
  async refreshed(): Promise<void> {
    const { disk, ledger, log } = this.#ports;
    if (this.#why === caution) return this.#end();
    // What was told is not acted on, so what is acted on is as old as before.
    if (this.#why === undefined || ledger.held) return;
    await disk.write([identityRow(disk.identity)]);
    sometimes(log, "an agent left its safe mode");
    log.info("safe-mode-over", { was: this.#why });
    this.#end();
  }

  #end(): void {
    this.#why = undefined;
    this.#ports.ended();
  }
}

const identityRow = (identity: string) => ({ table, key, value: new TextEncoder().encode(identity) });

const reasonToHold = ({ cursor, held }: Ledger): string | undefined =>
  held &&
  `somebody to accept that central was restored or made anew: it tells history ${held.history}, the agent acts on ${cursor.history}`;

function reasonFor(isCopy: boolean, ledger: Ledger): string | undefined {
  if (isCopy) return "central to be heard: the agent's disk is a copy, and may be older than the machines";
  if (ledger.isDamaged) return "central to be heard: parts of what it wants were unreadable on the agent's disk";
  return ledger.cursor.history === "" ? "central to be heard for the first time" : undefined;
}
