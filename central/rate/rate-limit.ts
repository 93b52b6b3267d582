// Who calls too often is told when to ask again. The datacenters' own calls are never counted: they come in thousands when a rack is
// switched on, and to refuse them would stop machines. Nor are questions after health, which decide whether anybody is sent here.
import type { DescMethod } from "@bufbuild/protobuf";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { addressText, parseAddress } from "#lib/net/prefix.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Caller } from "../access/caller.ts";
import type { Rule } from "../access/rule.ts";
import type { Rate } from "./bucket.ts";
import { Buckets } from "./buckets.ts";

export interface Rates {
  /** Of each token; undefined: without a limit. */
  readonly token: Rate | undefined;
  /** Of each address from which calls come without a token that is good; undefined: without a limit. */
  readonly anonymous: Rate | undefined;
}

/** Tokens, and addresses, that are remembered. */
export const keysMax = 10_000;

/** A call of which nothing has come yet. */
export interface Call {
  readonly method: DescMethod;
  /** Undefined for services that have none. */
  readonly rule: Rule | undefined;
  /** Undefined: nobody who could be known. */
  readonly caller: Caller | undefined;
  readonly isAllowed: boolean;
  readonly address: string;
}

export class RateLimit {
  readonly #clock: Clock;
  readonly #tokens: Buckets | undefined;
  readonly #addresses: Buckets | undefined;

  constructor({ token, anonymous }: Rates, clock: Clock) {
    this.#clock = clock;
    this.#tokens = token && new Buckets(token, keysMax);
    this.#addresses = anonymous && new Buckets(anonymous, keysMax);
  }

  /** @throws Refusal "exhausted" */
  count(call: Call): void {
    const { method, caller, address } = call;
    if (method.parent.typeName === Health.typeName || isOfDatacenter(call)) return;
    if (caller === undefined) this.countAnonymous(address);
    else {
      const waitMs = this.#tokens?.take(caller.token, this.#clock.monotonicMs()) ?? 0;
      if (waitMs > 0) throw tooMany("too many calls with this token", waitMs);
    }
  }

  /** @throws Refusal "exhausted" */
  countAnonymous(address: string): void {
    const waitMs = this.#addresses?.take(sourceOf(address), this.#clock.monotonicMs()) ?? 0;
    if (waitMs > 0) throw tooMany(`too many calls without a good token from ${address}`, waitMs);
  }
}

/** Agents, and those who may do what only infrastructure and machines may. */
const isOfDatacenter = ({ rule, caller, isAllowed }: Call): boolean =>
  caller?.partition !== undefined ||
  (isAllowed && rule !== undefined && (rule.infraRoles.length > 0 || rule.machineRoles.length > 0));

/** Who has one address of IPv6 has all of its network. */
function sourceOf(address: string): string {
  const parsed = parseAddress(address);
  if (!parsed.ok || parsed.value.family === 4) return address;
  return `${addressText({ family: 6, value: (parsed.value.value >> 64n) << 64n })}/64`;
}

const tooMany = (text: string, waitMs: number) =>
  new Refusal("exhausted", `${text}: try again in ${Math.ceil(waitMs / 1_000)} s`, {
    reason: "RATE_LIMIT",
    retryAfterMs: waitMs,
  });
