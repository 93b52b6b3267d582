import type { HandlerContext } from "@connectrpc/connect";
import type { Clock } from "#lib/clock.ts";
import { Refusal } from "#lib/refusal.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import type { Caller } from "../access/caller.ts";
import type { Shown } from "../access/interceptor.ts";
import { certificateCaller } from "../join/certificate-caller.ts";
import type { State } from "../store/state.ts";
import type { Identity } from "./identity.ts";

interface Ports {
  readonly identity: Identity;
  /** For what certificates prove. */
  readonly state: State;
  readonly clock: Clock;
}

/**
 * A token is asked first: who sends one, beside whatever certificate a browser shows, means that.
 * @throws Refusal "unauthenticated" for what is no good, or not any more; undefined without either
 */
export async function callerBy(
  { identity, state, clock }: Ports,
  { authorization, certificate }: Shown,
): Promise<Caller | undefined> {
  if (authorization !== null || certificate === undefined) return await identity.callerOf(authorization);
  return certificateCaller(state, certificate, clock.wallMs());
}

/** Who it is that calls, and what they may, as of now: for streams, which outlive what was so when they began. */
export type WhoCalls = (context: Pick<HandlerContext, "requestHeader" | "values">) => Promise<Caller>;

export const whoCalls =
  (ports: Ports): WhoCalls =>
  async ({ requestHeader, values }) => {
    const { certificate } = values.get(peerKey);
    const caller = await callerBy(ports, { authorization: requestHeader.get("authorization"), certificate });
    if (caller === undefined) throw new Refusal("unauthenticated", "a token is wanted", { reason: "ACCESS" });
    return caller;
  };
