// What an agent does next about the certificate by which central knows it. Pure: the joiner reads, asks and waits.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Invitation } from "#gen/holdfast/join/v1/join_pb.ts";
import type { AgentIdentity } from "#gen/holdfast/state/v1/join_pb.ts";

/** What the file with the join string says. */
export type JoinFile =
  | { readonly kind: "none" }
  | { readonly kind: "unusable"; readonly why: string }
  | { readonly kind: "invitation"; readonly invitation: Invitation };

/** A thing that went wrong is not tried again before this. */
export interface Pause {
  /** Id of the join token that was used; empty for a renewal. */
  readonly token: string;
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}

export interface JoinFacts {
  readonly identity: AgentIdentity | undefined;
  readonly file: JoinFile;
  readonly pauses: readonly Pause[];
}

export type JoinStep =
  | { readonly kind: "enrol"; readonly invitation: Invitation }
  | { readonly kind: "renew"; readonly identity: AgentIdentity }
  | { readonly kind: "rest" };

/** A join token that the agent has not joined by is used first: whoever put it there wants that, whatever the certificate is worth. */
export function nextStep(
  { identity, file, pauses }: JoinFacts,
  now: { wallMs: number; monotonicMs: number },
): JoinStep {
  const mayTry = (token: string): boolean => !pauses.some((p) => p.token === token && now.monotonicMs < p.untilMs);
  if (file.kind === "invitation") {
    const { token } = file.invitation;
    if (token !== identity?.token && mayTry(token)) return { kind: "enrol", invitation: file.invitation };
  }
  if (identity && now.wallMs >= renewAtMs(identity) && mayTry("")) return { kind: "renew", identity };
  return { kind: "rest" };
}

/** When two thirds of the certificate's life are over, in wall-clock milliseconds. */
export function renewAtMs(identity: AgentIdentity): number {
  const untilMs = endMs(identity);
  return untilMs - (untilMs - issuedMs(identity)) / 3;
}

/** Wall-clock milliseconds. */
export const endMs = ({ credential }: AgentIdentity): number =>
  credential?.notAfter ? timestampMs(credential.notAfter) : 0;

const issuedMs = ({ credential }: AgentIdentity): number =>
  credential?.issuedAt ? timestampMs(credential.issuedAt) : 0;

const renewAgainMsMost = 600_000;

/** After a renewal, before another one: never as long as it takes by a right clock until the next is due. */
export const renewAgainMs = (identity: AgentIdentity | undefined): number =>
  identity === undefined ? 0 : Math.min(renewAgainMsMost, (endMs(identity) - issuedMs(identity)) / 3);

const renewPause = { leastMs: 10_000, mostMs: 3_600_000 };

/** Before a renewal that failed is tried again: a tenth of the time that is left, so that there are some tries. */
export const renewPauseMs = (identity: AgentIdentity, wallMs: number): number =>
  Math.min(renewPause.mostMs, Math.max(renewPause.leastMs, (endMs(identity) - wallMs) / 10));
