import {
  type SiteMachine,
  SiteMachineSchema,
  type SiteMachineState,
  SiteMachineStateSchema,
} from "#gen/holdfast/site/v1/machine_pb.ts";
import type { BmcOrder, BmcOrderOutcome, EffectRecord } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  MachineBMCCommandSchema,
  MachineLivelinessSchema,
  MachineProvisioningEventTypeSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Cli, say } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { OutputFlags } from "../flags.ts";
import { effectText, outcomeText } from "../machine/acts.ts";
import { progressFacts, stepText } from "../machine/progress.ts";
import { enumText } from "../view/enum-text.ts";
import { type Fact, factsText } from "../view/facts.ts";
import { listText, shownText } from "../view/output.ts";
import type { Column } from "../view/table.ts";
import { ageText, agoText, durationText, timestampMs } from "../view/time.ts";
import { type SiteFlags, withSite } from "./with-site.ts";

export async function siteMachines(this: Cli, flags: SiteFlags & OutputFlags): Promise<void> {
  const { machines } = await withSite(this, flags, (site) => site.listMachines({}));
  say(this, listText(SiteMachineSchema, columns(this.clock.wallMs()), machines, flags.output));
}

export async function siteWhy(this: Cli, flags: SiteFlags & OutputFlags, word: string): Promise<void> {
  const { machine } = await withSite(this, flags, (site) => site.getMachine({ machine: word }));
  if (!machine) throw new Failure(`not found: there is no machine ${word}`);
  say(
    this,
    shownText(SiteMachineSchema, machine, flags.output, () => whyText(machine, this.clock.wallMs())),
  );
}

const columns = (nowMs: number): readonly Column<SiteMachine>[] => [
  { title: "UUID", of: (m) => m.uuid },
  { title: "MAC", of: (m) => m.macs[0] ?? "" },
  { title: "NAME", of: (m) => m.hostname || m.name },
  { title: "STATE", of: (m) => stateText(m.state) },
  { title: "POWER", of: powerText },
  { title: "PORT", of: portText },
  { title: "WHY", of: (m) => m.progress?.why ?? "" },
  { title: "EPOCH", of: (m) => `${m.epoch}`, wide: true },
  { title: "LAST EVENT", of: (m) => eventText(m), wide: true },
  { title: "HEARD", of: (m) => ageText(m.heardAt, nowMs), wide: true },
  { title: "BOOTS", of: (m) => m.bootTarget, wide: true },
  { title: "BMC", of: (m) => m.bmcAddress, wide: true },
  { title: "SIZE", of: (m) => m.size, wide: true },
  { title: "RACK", of: (m) => m.rack, wide: true },
];

function whyText(m: SiteMachine, nowMs: number): string {
  return factsText([
    ["machine", m.uuid],
    ["name", [m.hostname, m.name].filter((n, i, all) => n !== "" && all.indexOf(n) === i).join(", ")],
    ["macs", m.macs.join(", ")],
    ["state", `${stateText(m.state)}, epoch ${m.epoch}`],
    ...progressFacts(m.progress, nowMs),
    ["last event", m.lastEvent ? `${eventText(m)}${agoText(m.lastEventAt, nowMs)}` : ""],
    ["last failure", m.lastFailure],
    ["heard", m.heardAt ? `${ageText(m.heardAt, nowMs)} ago, ${enumText(MachineLivelinessSchema, m.liveliness)}` : ""],
    ["power", powerText(m)],
    ["BMC", m.bmcAddress],
    ["boots from", m.bootTarget],
    ["port", m.port ? `${portText(m)}${agoText(m.port.readAt, nowMs)}, belongs in ${m.wantedNetwork}` : ""],
    ["image", m.image],
    ["project", m.project],
    ...(m.progress?.steps ?? []).map((step): Fact => ["step", `${step.name}  ${stepText(step)}`]),
    ...m.orders.map((order) => orderFact(order, nowMs)),
    ...m.outcomes.map((outcome) => outcomeFact(outcome, nowMs)),
    ...m.effects.filter(({ order }) => !order).map((effect) => effectFact(effect, nowMs)),
  ]);
}

export const stateText = (state: SiteMachineState): string =>
  enumText(SiteMachineStateSchema, state).replaceAll("_", " ");

const powerText = (m: SiteMachine): string => `${m.powerState}${m.heldOff ? " (held off by an order)" : ""}`.trim();

const portText = ({ port }: SiteMachine): string => (port ? `${port.switch} ${port.port} in ${port.network}` : "");

const eventText = (m: SiteMachine): string =>
  m.lastEvent ? enumText(MachineProvisioningEventTypeSchema, m.lastEvent) : "";

function orderFact({ id, command, issuedBy, deadline }: BmcOrder, nowMs: number): Fact {
  const leftMs = deadline ? timestampMs(deadline) - nowMs : 0;
  return [
    "open order",
    `${enumText(MachineBMCCommandSchema, command)} by ${issuedBy}, void in ${durationText(leftMs)} (${id})`,
  ];
}

const outcomeFact = (outcome: BmcOrderOutcome, nowMs: number): Fact => ["past order", outcomeText(outcome, nowMs)];

const effectFact = (effect: EffectRecord, nowMs: number): Fact => [
  effect.endedAt ? "past effect" : "open effect",
  effectText(effect, nowMs),
];
