import type { InstallStep, MachineProgress } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Fact } from "../view/facts.ts";
import { ageText, durationText, timestampMs } from "../view/time.ts";

/** What a machine waits for, since when, and what comes next. */
export const progressFacts = (progress: MachineProgress | undefined, nowMs: number): readonly Fact[] => [
  ["why", progress?.why ? `${progress.why}${progress.since ? `, for ${ageText(progress.since, nowMs)}` : ""}` : ""],
  ["next", progress?.next ?? ""],
];

/** How one step of an installation went, without its name. */
export function stepText({ startedAt, endedAt, detail, error }: InstallStep): string {
  const took = startedAt && endedAt ? durationText(timestampMs(endedAt) - timestampMs(startedAt)) : "…";
  return `${error ? `failed: ${error}` : took}${detail ? `, ${detail}` : ""}`;
}
