// Keeps central knowing this agent: joins by the join string in a file, and renews the certificate before it ends. Nothing waits for
// it but the link; while central is away it tries again, and the agent's own work goes on.
import { create } from "@bufbuild/protobuf";
import { parseJoinString } from "#domain/join/join-string.ts";
import {
  type Credential,
  type EnrolRequest,
  EnrolRequestSchema,
  type Invitation,
  type RenewRequest,
  RenewRequestSchema,
} from "#gen/holdfast/join/v1/join_pb.ts";
import { type AgentIdentity, AgentIdentitySchema } from "#gen/holdfast/state/v1/join_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { withDeadline } from "#lib/deadline.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { KeyPair, Keys } from "#lib/x509/keys.ts";
import { certificateRequest } from "#lib/x509/request.ts";
import { isRefusal } from "../link/refusal.ts";
import { backOffMs } from "../link/step.ts";
import { IdentityStore } from "./identity-store.ts";
import { endMs, type JoinFile, nextStep, type Pause, renewAgainMs, renewAtMs, renewPauseMs } from "./step.ts";

const lookMs = 10_000;
const askMs = 15_000;
/** What central has refused is asked for again after this: a central that lags behind does not know a new token yet, and somebody may have set something right. */
const refusedMs = { token: 60_000, renewal: 600_000 } as const;

/** holdfast.join.v1, handed in. Both say nothing to anybody who cannot prove to be central. */
export interface JoinClient {
  enrol(invitation: Invitation, request: EnrolRequest, signal: AbortSignal): Promise<Credential | undefined>;
  renew(identity: AgentIdentity, request: RenewRequest, signal: AbortSignal): Promise<Credential | undefined>;
}

export interface JoinerPorts {
  readonly partition: string;
  /** Name of this host, for people who look at central's list. */
  readonly host: string;
  /** The file with the join string. */
  readonly file: { readonly path: string; read(): Promise<string | undefined> };
  readonly client: JoinClient;
  /** There is another certificate from now on. */
  readonly changed: () => void;
  readonly keys: Keys;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface JoinStatus {
  /** Wall-clock milliseconds; undefined while there is no certificate. */
  readonly untilMs: number | undefined;
  readonly renewAtMs: number | undefined;
  /** Why there is no certificate, or why it was not renewed; empty while all is well. */
  readonly problem: string;
}

export class Joiner {
  readonly #ports: JoinerPorts;
  readonly #store: IdentityStore;
  #pauses: readonly Pause[] = [];
  #failures = 0;
  /** The last thing that went wrong since something went well. */
  #trouble = "";
  /** Undefined: it was not looked at yet. */
  #file: JoinFile | undefined;

  constructor(ports: JoinerPorts) {
    this.#ports = ports;
    this.#store = new IdentityStore(ports.disk, ports.log);
  }

  /** By which central knows the agent; undefined while it has not joined. */
  get identity(): AgentIdentity | undefined {
    return this.#store.present;
  }

  get status(): JoinStatus {
    const { identity } = this;
    const untilMs = identity && endMs(identity);
    return { untilMs, renewAtMs: identity && renewAtMs(identity), problem: this.#problem(untilMs) };
  }

  /**
   * Central does not know this certificate: it was restored from before the certificate was given. The one before may be known
   * yet, so that is used now; were that unknown as well, it would be the other's turn again.
   */
  async unknown(identity: AgentIdentity): Promise<void> {
    const { previous, ...present } = identity;
    if (this.identity !== identity || !previous) return;
    this.#ports.log.warn("certificate-unknown", { token: identity.token });
    await this.#store.adopt(create(AgentIdentitySchema, { ...previous, previous: present }));
    // The renewal that there was is worth nothing.
    this.#pauses = this.#pauses.filter((p) => p.token !== "");
    this.#ports.changed();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    while (!signal.aborted) {
      const file = await this.#readFile();
      this.#file = file;
      const { identity } = this;
      const now = { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() };
      const step = nextStep({ identity, file, pauses: this.#pauses }, now);
      switch (step.kind) {
        case "enrol":
          await this.#try(step.invitation.token, () => this.#enrol(step.invitation, signal), signal);
          break;
        case "renew":
          await this.#try("", () => this.#renew(step.identity, signal), signal);
          break;
        case "rest":
          await clock.sleep(this.#restMs(), signal).catch(() => {});
      }
    }
  }

  async #enrol(invitation: Invitation, signal: AbortSignal): Promise<void> {
    const { partition, host, keys, client, clock, log } = this.#ports;
    const { token, secret, endpoint } = invitation;
    const pair = await this.#store.pairFor(token, () => keys.newPair());
    const asked = { token, secret, partition, host, certificateRequest: this.#request(pair) };
    const credential = await withDeadline(clock, askMs, "joining central", signal, (s) =>
      client.enrol(invitation, create(EnrolRequestSchema, asked), s),
    );
    await this.#adopt({ pair, credential, token, endpoint });
    log.info("joined-central", { partition, endpoint, token, until: this.#untilText() });
  }

  async #renew(identity: AgentIdentity, signal: AbortSignal): Promise<void> {
    const { host, keys, client, clock, log } = this.#ports;
    const pair = keys.newPair();
    const asked = create(RenewRequestSchema, { host, certificateRequest: this.#request(pair) });
    const credential = await withDeadline(clock, askMs, "renewing the certificate", signal, (s) =>
      client.renew(identity, asked, s),
    );
    const { previous: _, ...previous } = identity;
    await this.#adopt({ pair, credential, token: identity.token, endpoint: identity.endpoint, previous });
    log.info("certificate-renewed", { until: this.#untilText() });
  }

  async #adopt(got: {
    readonly pair: KeyPair;
    readonly credential: Credential | undefined;
    readonly token: string;
    readonly endpoint: string;
    readonly previous?: Omit<AgentIdentity, "previous">;
  }): Promise<void> {
    const { pair, credential, ...rest } = got;
    if (!credential || credential.certificate.length === 0 || credential.authorities.length === 0)
      throw new Error("central's answer holds no certificate");
    const { privateKey } = pair;
    await this.#store.adopt(create(AgentIdentitySchema, { privateKey, credential, ...rest }));
    this.#ports.changed();
  }

  /** @param token empty for a renewal */
  async #try(token: string, work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { random, log } = this.#ports;
    try {
      await work();
      this.#pauses = this.#pauses.filter((p) => p.token !== token);
      // By a clock that is far ahead the new certificate has to be renewed as well.
      if (token === "") this.#pause(token, renewAgainMs(this.identity));
      this.#failures = 0;
      this.#trouble = "";
    } catch (error) {
      if (signal.aborted) return;
      const text = reasonOf(error);
      // The same trouble is told once.
      if (text !== this.#trouble)
        log.warn(token === "" ? "certificate-not-renewed" : "not-joined", { token, error: text });
      this.#trouble = text;
      this.#pause(token, this.#pauseMs(token, isRefusal(error), random.below(1_000) / 1_000));
    }
  }

  #pause(token: string, ms: number): void {
    const untilMs = this.#ports.clock.monotonicMs() + ms;
    this.#pauses = [...this.#pauses.filter((p) => p.token !== token), { token, untilMs }];
  }

  #pauseMs(token: string, isRefused: boolean, chance: number): number {
    if (token !== "") return isRefused ? refusedMs.token : backOffMs(++this.#failures, chance);
    const { identity } = this;
    return isRefused || !identity ? refusedMs.renewal : renewPauseMs(identity, this.#ports.clock.wallMs());
  }

  /** Until the file is looked at again, or a pause ends. */
  #restMs(): number {
    const nowMs = this.#ports.clock.monotonicMs();
    return Math.min(lookMs, ...this.#pauses.map((p) => Math.ceil(p.untilMs - nowMs)).filter((ms) => ms > 0));
  }

  async #readFile(): Promise<JoinFile> {
    const { file } = this.#ports;
    try {
      const text = await file.read();
      if (text === undefined) return { kind: "none" };
      const invitation = parseJoinString(text);
      if (!invitation.ok) return { kind: "unusable", why: `no join string is in ${file.path}: ${invitation.error}` };
      return { kind: "invitation", invitation: invitation.value };
    } catch (error) {
      return { kind: "unusable", why: `${file.path}: ${reasonOf(error)}` };
    }
  }

  #request(pair: KeyPair): Uint8Array {
    const { partition, keys } = this.#ports;
    return certificateRequest(`partition-agent:${partition}`, pair, keys);
  }

  #problem(untilMs: number | undefined): string {
    const { partition, file, clock } = this.#ports;
    const how = `put what \`holdfast central join-token create --partition ${partition}\` prints into ${file.path}`;
    if (untilMs !== undefined && untilMs <= clock.wallMs()) return `the certificate has expired: ${how}`;
    if (this.#trouble !== "") return this.#trouble;
    if (untilMs !== undefined) return "";
    switch (this.#file?.kind) {
      case "none":
        return `not joined yet: ${how}`;
      case "unusable":
        return this.#file.why;
      case "invitation":
        return "not joined yet: central is being asked";
      case undefined:
        return "not joined yet";
    }
  }

  #untilText(): string {
    const { identity } = this;
    return identity ? new Date(endMs(identity)).toISOString() : "";
  }
}
