import type { ExplainResponse } from "#gen/holdfast/api/v1/machine_pb.ts";
import { MachineProvisioningEventTypeSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { factsText } from "../view/facts.ts";
import { printable } from "../view/table.ts";
import { ageText, durationText, timestampMs } from "../view/time.ts";

/** What a machine waits for, for people: one fact a line, what is unknown left out. */
export function explanationText(uuid: string, told: ExplainResponse, nowMs: number): string {
  const ago = (t: Parameters<typeof ageText>[0]) => (t ? ` (${ageText(t, nowMs)} ago)` : "");
  const progress = told.progress;
  const facts = factsText([
    ["machine", uuid],
    ["why", progress?.why ? `${progress.why}${progress.since ? `, for ${ageText(progress.since, nowMs)}` : ""}` : ""],
    ["next", progress?.next ?? ""],
    [
      "last event",
      told.lastEvent ? enumText(MachineProvisioningEventTypeSchema, told.lastEvent) + ago(told.lastEventAt) : "",
    ],
    ["last failure", told.lastFailure],
    ["link", told.linkUp ? "up" : "down: this is what was known when it broke"],
    ["power", told.powerState],
    ["port", told.port ? `${told.port.switch} ${told.port.port} in ${told.port.network}${ago(told.port.readAt)}` : ""],
    ["epoch", `${told.epoch}, installed ${told.installations} times under it`],
  ]);
  const steps = (progress?.steps ?? []).map((step) => {
    const ms = step.startedAt && step.endedAt ? timestampMs(step.endedAt) - timestampMs(step.startedAt) : undefined;
    const how = step.error ? `failed: ${step.error}` : ms === undefined ? "…" : durationText(ms);
    return `  ${printable(step.name).padEnd(12)}${printable(`${how}${step.detail ? `, ${step.detail}` : ""}`)}`;
  });
  const refused = told.outcomes.filter((o) => o.error !== "");
  const orders = refused.map((o) => `order ${printable(o.id)} was not carried out${ago(o.at)}: ${printable(o.error)}`);
  return facts + [...(steps.length ? ["steps:", ...steps] : []), ...orders].map((line) => `${line}\n`).join("");
}
