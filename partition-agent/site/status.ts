// The agent at one glance. Pure.
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { SiteMachineState } from "#gen/holdfast/site/v1/machine_pb.ts";
import {
  type CertificateStatus,
  CertificateStatusSchema,
  type ImageStatus,
  ImageStatusSchema,
  type LinkStatus,
  LinkStatusSchema,
  type OutboxSummary,
  OutboxSummarySchema,
  type StateCount,
  StateCountSchema,
} from "#gen/holdfast/site/v1/status_pb.ts";
import type { Image } from "#gen/metalstack/api/v2/image_pb.ts";
import type { BootFiles } from "../boot/boot-files.ts";
import type { JoinStatus } from "../identity/joiner.ts";
import type { LinkState } from "../link/step.ts";
import type { Outbox } from "../outbox/outbox.ts";

export const linkStatus = ({
  phase,
  sinceMs,
  lastError,
}: Pick<LinkState, "phase" | "sinceMs" | "lastError">): LinkStatus =>
  create(LinkStatusSchema, { phase, since: timestampFromMs(sinceMs), lastError: lastError ?? "" });

export const certificateStatus = ({ untilMs, renewAtMs, problem }: JoinStatus): CertificateStatus =>
  create(CertificateStatusSchema, {
    problem,
    ...(untilMs !== undefined && { notAfter: timestampFromMs(untilMs) }),
    ...(renewAtMs !== undefined && { renewAt: timestampFromMs(renewAtMs) }),
  });

export const imageStatus = ({ id, url }: Image, files: Pick<BootFiles, "isHere" | "problem">): ImageStatus =>
  create(ImageStatusSchema, { id, atHand: files.isHere(url), problem: files.problem(url) ?? "" });

export function outboxSummary(outbox: Pick<Outbox, "pending" | "rejected" | "notUnderstood">): OutboxSummary {
  const kinds = new Map<string, { kind: string; entries: number; bytes: bigint }>();
  let oldest: Timestamp | undefined;
  for (const { kind, value, seenAt } of outbox.pending(Number.POSITIVE_INFINITY)) {
    const sum = kinds.get(kind) ?? { kind, entries: 0, bytes: 0n };
    kinds.set(kind, { kind, entries: sum.entries + 1, bytes: sum.bytes + BigInt(value.length) });
    if (seenAt && (!oldest || timestampMs(seenAt) < timestampMs(oldest))) oldest = seenAt;
  }
  return create(OutboxSummarySchema, {
    kinds: [...kinds.values()].sort((a, b) => (a.kind < b.kind ? -1 : 1)),
    ...(oldest && { oldestAt: oldest }),
    deadLetters: outbox.rejected().length,
    notUnderstood: outbox.notUnderstood,
  });
}

/** In the order of the enum, those without any machine left out. */
export function stateCounts(states: readonly SiteMachineState[]): readonly StateCount[] {
  const counts = new Map<SiteMachineState, number>();
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([state, machines]) => create(StateCountSchema, { state, machines }));
}
