import type { ExplainResponse } from "#gen/holdfast/api/v1/machine_pb.ts";
import { MachineProvisioningEventTypeSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { factsText } from "../view/facts.ts";
import { printable } from "../view/table.ts";
import { agoText } from "../view/time.ts";
import { effectText, outcomeText } from "./acts.ts";
import { progressFacts, stepText } from "./progress.ts";

/** How far the latest order to reinstall it has come; empty when there was none. */
function reinstallText({ reinstall, reinstallProgress: seen }: ExplainResponse, nowMs: number): string {
  if (!reinstall) return "";
  const { number, image } = reinstall;
  const by = reinstall.orderedBy === "" ? "" : ` by ${reinstall.orderedBy}`;
  const ordered = `order ${number}${by} for ${image?.id}${agoText(reinstall.orderedAt, nowMs)}`;
  if ((seen?.installed ?? 0) >= number) return `${ordered}: done`;
  if ((seen?.overwritten ?? 0) >= number) return `${ordered}: the old system is being overwritten`;
  if (reinstall.aborted) return `${ordered}: aborted, ${reinstall.formerImage?.id} boots again`;
  return `${ordered}: ${(seen?.begun ?? 0) >= number ? "begun" : "not begun"}; the old system can still be gone back to by abort-reinstall`;
}

/** What a machine waits for, for people: one fact a line, what is unknown left out. */
export function explanationText(uuid: string, told: ExplainResponse, nowMs: number): string {
  const facts = factsText([
    ["machine", uuid],
    ...progressFacts(told.progress, nowMs),
    [
      "last event",
      told.lastEvent
        ? enumText(MachineProvisioningEventTypeSchema, told.lastEvent) + agoText(told.lastEventAt, nowMs)
        : "",
    ],
    ["last failure", told.lastFailure],
    ["link", told.linkUp ? "up" : "down: this is what was known when it broke"],
    ["power", told.powerState],
    [
      "port",
      told.port
        ? `${told.port.switch} ${told.port.port} in ${told.port.network}${agoText(told.port.readAt, nowMs)}`
        : "",
    ],
    ["reinstall", reinstallText(told, nowMs)],
    ["epoch", `${told.epoch}, installed ${told.installations} times under it`],
  ]);
  const steps = (told.progress?.steps ?? []).map(
    (step) => `  ${printable(step.name).padEnd(12)}${printable(stepText(step))}`,
  );
  const refused = told.outcomes.filter((o) => o.error !== "").map((o) => `order ${outcomeText(o, nowMs)}`);
  const doubtful = told.effects.filter((e) => !e.endedAt || (e.error !== "" && !e.order));
  const acts = [...refused, ...doubtful.map((e) => effectText(e, nowMs))].map(printable);
  return facts + [...(steps.length ? ["steps:", ...steps] : []), ...acts].map((line) => `${line}\n`).join("");
}
