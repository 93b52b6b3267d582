import { timestampMs } from "@bufbuild/protobuf/wkt";
import { kinds } from "#central/store/kinds.ts";
import type { State } from "#central/store/state.ts";
import type { Datacenter } from "./datacenter.ts";
import { fingerprintOf } from "./joining.ts";
import { beginMs } from "./life.ts";

/** A central may stand still or see changes late before it looks, and an agent hears of a broken stream late. */
const noticedMs = 300_000;

/** What must hold of agents that are known by certificates. */
export class Joined {
  readonly #truth: () => State;
  /** Since when the certificate that an agent follows by is no good, by partition; virtual milliseconds. */
  readonly #badSinceMs = new Map<string, number>();
  /** By whom a join token was used, by its id. */
  readonly #uses = new Map<string, string>();
  #checkedRevision = -1n;

  constructor(truth: () => State) {
    this.#truth = truth;
  }

  /** The store has forgotten what came after its copy. */
  onStoreRestore(): void {
    this.#uses.clear();
  }

  /** Whether the agent follows by a certificate that is no good. */
  isBad({ partition }: Datacenter): boolean {
    return this.#badSinceMs.has(partition);
  }

  /** After every event. @returns what is broken, in words */
  check(at: Datacenter, nowMs: number): string | undefined {
    return this.#checkFollowing(at, nowMs) ?? this.#checkTokens();
  }

  #checkFollowing({ partition, agent }: Datacenter, nowMs: number): string | undefined {
    const certificate = agent.agent?.link.state.phase === "following" ? agent.certificate : undefined;
    const stored = certificate && this.#truth().get(kinds.agentCertificate, fingerprintOf(certificate))?.value;
    const untilMs = stored?.notAfter && !stored.revokedAt ? timestampMs(stored.notAfter) : 0;
    if (certificate === undefined || untilMs > beginMs + nowMs) {
      this.#badSinceMs.delete(partition);
      return undefined;
    }
    const sinceMs = this.#badSinceMs.get(partition) ?? nowMs;
    this.#badSinceMs.set(partition, sinceMs);
    const forMs = nowMs - Math.max(sinceMs, agent.runsSinceMs);
    if (forMs <= noticedMs) return undefined;
    return `the agent of ${partition} has followed for ${Math.round(forMs / 1000)} s by a certificate that is no good`;
  }

  #checkTokens(): string | undefined {
    const truth = this.#truth();
    if (truth.revision === this.#checkedRevision) return undefined;
    this.#checkedRevision = truth.revision;
    for (const { id, value } of truth.list(kinds.joinToken)) {
      if (!value.use) continue;
      const before = this.#uses.get(id);
      if (before !== undefined && before !== value.use.fingerprint) return `join token ${id} was used twice`;
      this.#uses.set(id, value.use.fingerprint);
    }
    return undefined;
  }
}
