import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { ipv4Text } from "#lib/net/ipv4.ts";
import { sometimes } from "#lib/sometimes.ts";
import type { Catalog } from "../catalog.ts";
import { Tally } from "../tally.ts";
import { type Answer, answer, type SilenceReason } from "./answer.ts";
import { decodeDhcp, encodeDhcp } from "./codec.ts";
import { GroupedSaves } from "./grouped-saves.ts";
import type { Lease, LeaseStore } from "./lease.ts";
import { Leases, type LeaseView } from "./leases.ts";
import type { DhcpMessage, MessageType } from "./message.ts";
import { messageTypeOf } from "./options.ts";
import { type Destination, replyBytesMax } from "./reply.ts";
import type { ServerSettings } from "./settings.ts";
import type { DhcpStatistics } from "./statistics.ts";
import type { Subnet } from "./subnet.ts";

export interface DhcpPorts {
  readonly settings: ServerSettings;
  readonly subnets: readonly Subnet[];
  readonly catalog: Catalog;
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Puts one datagram on the wire; a rejection is counted. */
  readonly send: (bytes: Uint8Array, destination: Destination) => Promise<void>;
}

/** ACKs that wait for the disk at one time; what comes beyond is dropped, and clients ask again. */
const inFlightMax = 10_000;
const warnEveryMs = 60_000;
const worthAWarning: ReadonlySet<SilenceReason> = new Set<SilenceReason>([
  "bad-client",
  "no-subnet",
  "exhausted",
  "other-server",
  "no-boot-file",
  "declined",
]);

/** A DHCP server without sockets: datagrams in, datagrams out, leases durable before their ACK. */
export class DhcpService {
  readonly #ports: DhcpPorts;
  readonly #leases: Leases;
  readonly #saves: GroupedSaves;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #received = new Tally<MessageType | "other">();
  readonly #sent = new Tally<"offer" | "ack" | "nak">();
  readonly #silent = new Tally<SilenceReason>();
  readonly #trouble = new Tally<"malformed" | "overload" | "saveFailures" | "sendFailures" | "failures">();
  readonly #warnedMs = new Map<string, number>();

  constructor(ports: DhcpPorts) {
    this.#ports = ports;
    this.#leases = new Leases(ports.subnets, ports.store.load());
    this.#saves = new GroupedSaves(ports.store);
  }

  get leases(): LeaseView & { all(): Iterable<Lease> } {
    return this.#leases;
  }

  /** Takes a datagram in; never throws. */
  handle(bytes: Uint8Array): void {
    if (this.#inFlight.size >= inFlightMax) {
      this.#trouble.add("overload");
      this.#warn("overload", { limit: inFlightMax });
      return;
    }
    try {
      const request = decodeDhcp(bytes);
      if (!request.ok) {
        this.#trouble.add("malformed");
        this.#ports.log.debug("dhcp-malformed", { why: request.error });
        return;
      }
      this.#received.add(messageTypeOf(request.value.options) ?? "other");
      this.#perform(
        request.value,
        answer(request.value, { ...this.#ports, leases: this.#leases }, this.#ports.clock.wallMs()),
      );
    } catch (error) {
      this.#trouble.add("failures");
      this.#warn("failure", { error });
    }
  }

  /** Resolves when everything taken in so far is stored and sent. */
  async idle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
  }

  statistics(): DhcpStatistics {
    const { malformed = 0, overload = 0, saveFailures = 0, sendFailures = 0, failures = 0 } = this.#trouble.counts();
    return {
      received: this.#received.counts(),
      sent: this.#sent.counts(),
      silent: this.#silent.counts(),
      malformed,
      overload,
      saveFailures,
      sendFailures,
      failures,
      leases: this.#leases.size,
    };
  }

  #perform(request: DhcpMessage, answer: Answer): void {
    const { lease } = answer;
    const before = lease && this.#leases.at(lease.address);
    if (lease && lease !== before) this.#leases.put(lease);
    if (answer.kind === "silence") this.#sayNothing(answer.reason, answer.why);
    const isNew = lease?.state === "bound" && (before?.state !== "bound" || before.holder !== lease.holder);
    if (isNew) this.#ports.log.info("dhcp-lease-bound", { holder: lease.holder, address: ipv4Text(lease.address) });
    // An OFFER promises nothing, so its lease is kept in memory only.
    const isOffer = answer.kind === "reply" && answer.type === "offer";
    const mustStore = lease !== undefined && !isOffer;
    if (mustStore || answer.kind === "reply") this.#own(this.#finish(request, answer, mustStore ? lease : undefined));
  }

  async #finish(request: DhcpMessage, answer: Answer, lease: Lease | undefined): Promise<void> {
    if (lease) {
      try {
        await this.#saves.save(lease);
      } catch (error) {
        this.#trouble.add("saveFailures");
        sometimes(this.#ports.log, "an address was not acknowledged because its lease was not on disk");
        this.#warn("lease-not-stored", { address: ipv4Text(lease.address), error });
        return;
      }
    }
    if (answer.kind === "silence") return;
    try {
      await this.#ports.send(encodeDhcp(answer.reply, replyBytesMax(request)), answer.destination);
      this.#sent.add(answer.type);
    } catch (error) {
      this.#trouble.add("sendFailures");
      this.#warn("send-failed", { to: ipv4Text(answer.destination.address), error });
    }
  }

  #own(work: Promise<void>): void {
    this.#inFlight.add(work);
    void work.finally(() => this.#inFlight.delete(work));
  }

  #sayNothing(reason: SilenceReason, why: string): void {
    this.#silent.add(reason);
    if (worthAWarning.has(reason)) this.#warn(reason, { why });
    else this.#ports.log.debug("dhcp-silent", { reason, why });
  }

  /** At most once a minute for each kind, so that a storm does not fill the log; the counters have the rest. */
  #warn(kind: string, fields: Readonly<Record<string, unknown>>): void {
    const nowMs = this.#ports.clock.monotonicMs();
    const lastMs = this.#warnedMs.get(kind);
    if (lastMs !== undefined && nowMs - lastMs < warnEveryMs) return;
    this.#warnedMs.set(kind, nowMs);
    this.#ports.log.warn("dhcp-trouble", { kind, ...fields });
  }
}
