// What happened to a machine since a moment, in the order of happening: events of its life and steps of its installer.

import type { WatchResponse } from "#gen/holdfast/api/v1/machine_pb.ts";
import type { InstallStep } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { printable } from "../view/table.ts";
import { durationText, timestampMs } from "../view/time.ts";
import { eventMs, eventsOf, eventText } from "./events.ts";

export interface Stage {
  /** The same happening has the same key in every view. */
  readonly key: string;
  /** since 1970, by the clock of whoever saw it */
  readonly atMs: number;
  readonly text: string;
  readonly isFailure: boolean;
}

/** @param sinceMs older happenings belong to the machine's earlier life */
export function stagesOf(view: WatchResponse, sinceMs: number): readonly Stage[] {
  const events = view.machine ? eventsOf(view.machine) : [];
  const lived = events
    .filter((e) => eventMs(e) >= sinceMs)
    .map((e) => {
      const isFailure = e.event === MachineProvisioningEventType.CRASHED;
      const said = isFailure && e.message ? `: ${printable(e.message)}` : "";
      return { key: `event ${e.event} ${eventMs(e)}`, atMs: eventMs(e), text: `${eventText(e)}${said}`, isFailure };
    });
  const stepped = (view.progress?.steps ?? []).flatMap((step) => finished(step));
  return [...lived, ...stepped.filter((s) => s.atMs >= sinceMs)].sort((a, b) => a.atMs - b.atMs);
}

/** A step is told when it has ended: that is when its time is known. */
function finished(step: InstallStep): readonly Stage[] {
  if (!step.endedAt && step.error === "") return [];
  const startMs = step.startedAt ? timestampMs(step.startedAt) : 0;
  const endMs = step.endedAt ? timestampMs(step.endedAt) : startMs;
  const detail = step.detail ? `, ${printable(step.detail)}` : "";
  const how = step.error ? `failed: ${printable(step.error)}` : `${durationText(endMs - startMs)}${detail}`;
  return [
    {
      key: `step ${step.name} ${startMs}`,
      atMs: endMs,
      text: `  ${printable(step.name)}  ${how}`,
      isFailure: step.error !== "",
    },
  ];
}

/** `  +12.3s  Installing` */
export const stageText = (stage: Stage, sinceMs: number): string =>
  `${`+${durationText(stage.atMs - sinceMs)}`.padStart(9)}  ${stage.text}`;

/** What goes on right now: the unfinished step, or else what the machine waits for. */
export function currentText(view: WatchResponse): string {
  const running = view.progress?.steps.findLast((s) => !s.endedAt && s.error === "");
  const why = printable(view.progress?.why ?? "");
  return running ? `${printable(running.name)}${why ? ` (${why})` : ""}` : why || "waiting for news";
}

/** Why the latest attempt failed, if it did. */
export function lastFailure(view: WatchResponse, sinceMs: number): string | undefined {
  return stagesOf(view, sinceMs)
    .filter((s) => s.isFailure)
    .at(-1)
    ?.text.trim();
}
