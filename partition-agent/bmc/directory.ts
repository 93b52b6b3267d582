// Which BMC belongs to which machine: every configured address is asked again and again, found ones by their system GUID.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type MachineBMC, MachineBMCSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { Observations } from "../observations/observations.ts";
import type { Bmc } from "./bmc.ts";

export interface DirectoryPorts {
  readonly addresses: readonly string[];
  readonly connect: (address: string) => Bmc & { close(): Promise<void> };
  readonly observations: Observations;
  /** Pause between two looks at a BMC that answered, milliseconds. */
  readonly pollMs: number;
  /** The same for one that did not. */
  readonly searchMs: number;
  /** Called when a machine's BMC was found where it was not known to be. */
  readonly found: (uuid: string) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** What one look at a BMC showed, in the terms of the machine's report. */
type Seen = Pick<MachineBMC, "address" | "mac" | "version" | "interface" | "powerState">;

/** Asked at once, at most. */
const concurrency = 20;
/** A report that changes nothing but its time is sent this rarely. */
const refreshMs = 5 * 60_000;

export class BmcDirectory {
  readonly #ports: DirectoryPorts;
  readonly #bmcs: ReadonlyMap<string, Bmc & { close(): Promise<void> }>;
  /** As the BMCs themselves have said in this life of the agent: an address may belong to another machine by now. */
  readonly #addressOf = new Map<string, string>();
  readonly #errors = new Map<string, string>();

  constructor(ports: DirectoryPorts) {
    this.#ports = ports;
    this.#bmcs = new Map(ports.addresses.map((address) => [address, ports.connect(address)]));
  }

  /** The machine's BMC, once it has been found. */
  of(uuid: string): Bmc | undefined {
    const address = this.#addressOf.get(uuid);
    return address === undefined ? undefined : this.#bmcs.get(address);
  }

  /** Asks every address until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let free = concurrency;
    const waiting: (() => void)[] = [];
    const limited = async <T>(work: () => Promise<T>): Promise<T> => {
      if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
      else free--;
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next) next();
        else free++;
      }
    };
    await Promise.all(
      [...this.#bmcs].map(async ([address, bmc]) => {
        while (!signal.aborted) {
          const found = await limited(() => this.#look(address, bmc, signal));
          await this.#ports.clock.sleep(found ? this.#ports.pollMs : this.#ports.searchMs, signal).catch(() => {});
        }
      }),
    );
  }

  /** Ends the sessions that are open. Whoever asks a BMC after this is refused. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#bmcs.values()].map((bmc) => bmc.close()));
  }

  async #look(address: string, bmc: Bmc, signal: AbortSignal): Promise<boolean> {
    const { log } = this.#ports;
    if (signal.aborted) return false;
    try {
      const { guid: uuid, firmware, mac } = await bmc.describe(signal);
      await this.#found(uuid, {
        address,
        mac: mac ?? "",
        version: firmware,
        interface: "lanplus",
        powerState: await bmc.powerState(signal),
      });
      if (this.#errors.delete(address)) log.info("bmc-answers-again", { address, machine: uuid });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const text = reasonOf(error);
      if (this.#errors.get(address) !== text) log.warn("bmc-not-reached", { address, error: text });
      this.#errors.set(address, text);
      return false;
    }
  }

  async #found(uuid: string, seen: Seen): Promise<void> {
    const { address } = seen;
    const { observations, clock, log } = this.#ports;
    const former = this.#addressOf.get(uuid);
    if (
      former !== undefined &&
      former !== address &&
      this.#errors.get(former) === undefined &&
      this.#bmcs.has(former)
    ) {
      throw new Error(`BMC ${address} has the GUID ${uuid}, which the BMC at ${former} has, too`);
    }
    for (const [other, at] of this.#addressOf) {
      if (at !== address || other === uuid) continue;
      log.warn("bmc-changed-hands", { address, machine: uuid, former: other });
      this.#addressOf.delete(other);
    }
    if (former !== address) log.info("bmc-found", { address, machine: uuid });
    this.#addressOf.set(uuid, address);
    const nowMs = clock.wallMs();
    await observations.update(uuid, (m) => {
      m.bmc ??= create(MachineBMCSchema);
      Object.assign(m.bmc, seen);
      if (!m.bmcUpdatedAt || nowMs - timestampMs(m.bmcUpdatedAt) > refreshMs) m.bmcUpdatedAt = timestampFromMs(nowMs);
    });
    if (former !== address) this.#ports.found(uuid);
  }
}
