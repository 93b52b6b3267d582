// What to do next about one machine, decided from facts. Pure: the reconciler gathers the facts and performs the effects.
//
// Order: what a former life of the agent had begun, then orders of people, then whether anything may be done at all, then isolation of the port, then power. A machine
// whose port cannot be read back in the provisioning network after a release is not switched on there.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { bmcCommandName } from "#domain/machine/bmc-command.ts";
import { isVoidOrder, staleness } from "#domain/machine/bmc-order.ts";
import { bootTarget } from "#domain/machine/boot-target.ts";
import { stateOf } from "#domain/machine/lifecycle.ts";
import { portNetwork, provisioning } from "#domain/machine/port-network.ts";
import {
  isAborted,
  isReinstallAhead,
  isReinstallDue,
  reinstallNumber,
  systemOnDisk,
} from "#domain/machine/reinstall.ts";
import type { BmcOrder, EffectRecord, MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import { exactly, type TimeSpan } from "../link/central-time.ts";
import { openEffects } from "./effect-journal.ts";
import { type Found, lookBack } from "./look-back.ts";
import { lostRecord } from "./lost-record.ts";
import { patienceWith, silentMs } from "./patience.ts";

export interface MachineFacts {
  /** Why nothing may be done that cannot be taken back; undefined: everything may. */
  readonly safeMode: string | undefined;
  readonly desired: MachineDesired | undefined;
  readonly observed: MachineObserved;
  /** Orders that people on site gave; they go by the same rules as central's. */
  readonly localOrders: readonly BmcOrder[];
  /** What the BMC says right now; `unknown` when it has none or does not answer, with the reason. */
  readonly power: { readonly state: "on" | "off" } | { readonly state: "unknown"; readonly why: string };
  /** Where the switch shows the machine right now; `unmanaged` when the site has no switch to drive. */
  readonly port: PortFact;
  /** Wall-clock milliseconds. */
  readonly nowMs: number;
  /** By which the deadlines of central's orders go. */
  readonly centralTime: TimeSpan;
  /** Since when this agent can hear machines: silence before it says nothing about them. */
  readonly listeningSinceMs: number;
  /** What to do with a machine that is off and was never seen before. */
  readonly newMachines: "power on" | "leave alone";
}

export type PortFact =
  | { readonly kind: "unmanaged" }
  | { readonly kind: "unknown"; readonly why: string }
  | { readonly kind: "at"; readonly switch: string; readonly port: string; readonly network: string };

/** What is done to the world: each has an id, and is on the disk before it is begun. */
export type MachineEffect =
  | { readonly kind: "carry-out-order"; readonly order: BmcOrder }
  | { readonly kind: "move-port"; readonly port: string; readonly network: string; readonly epoch: bigint }
  | {
      readonly kind: "boot-installer";
      readonly power: "on" | "cycle";
      readonly epoch: bigint;
      readonly because: string;
    }
  | { readonly kind: "boot-from-disk-next"; readonly epoch: bigint }
  | { readonly kind: "start-from-disk"; readonly epoch: bigint; readonly because: string };

/** What is only written down. */
export type MachineNote =
  | { readonly kind: "close-effect"; readonly record: EffectRecord; readonly found: Found }
  | { readonly kind: "refuse-order"; readonly order: BmcOrder; readonly reason: string }
  | { readonly kind: "enter-reclaim"; readonly epoch: bigint }
  | { readonly kind: "note-isolated"; readonly epoch: bigint };

export type MachineDecision =
  | { readonly kind: "act"; readonly effect: MachineEffect; readonly why: string; readonly next: string }
  | { readonly kind: "note"; readonly note: MachineNote; readonly why: string; readonly next: string }
  | { readonly kind: "wait"; readonly why: string; readonly next: string; readonly recheckAfterMs: number };

const recheckMs = 30_000;
const lastWordMs = 5_000;

export function planMachine(facts: MachineFacts): MachineDecision {
  const decision =
    planBegun(facts) ??
    planOrders(facts) ??
    planLeftAlone(facts) ??
    planRelease(facts) ??
    planPort(facts) ??
    planPower(facts);
  return decision.kind === "wait" ? withWaitingOrder(decision, facts) : decision;
}

type Wait = Extract<MachineDecision, { kind: "wait" }>;

/** An order of which it is not known whether it still holds keeps nothing else from being done. */
function withWaitingOrder(wait: Wait, facts: MachineFacts): Wait {
  const open = openOrders(facts.desired, facts.observed, facts.localOrders);
  const order = open.find((o) => !isGood(o, facts) && refusalOf(o, facts) === undefined);
  if (!order) return wait;
  const why = `${wait.why}; order ${bmcCommandName(order.command)} waits until it is known what time central's clock shows`;
  return { ...wait, why, recheckAfterMs: Math.min(wait.recheckAfterMs, recheckMs) };
}

/** What was begun and has no end: nothing of it is done again before the world has shown how it stands. */
function planBegun(facts: MachineFacts): MachineDecision | undefined {
  for (const record of openEffects(facts.observed)) {
    const isVoid = record.order !== undefined && refusalOf(record.order, facts) !== undefined;
    const found = lookBack(record, { ...facts, isVoid });
    const name = record.order ? `order ${bmcCommandName(record.order.command)}` : record.effect;
    if (found) {
      const why = `${name} had been begun when the agent ended: ${found.kind === "done" ? "it was carried out" : found.why}`;
      return note({ kind: "close-effect", record, found }, why, "");
    }
    if (record.order)
      return waitFor(
        `the BMC, to see whether ${name} was carried out before the agent ended`,
        "it goes on then",
        5_000,
      );
  }
  return undefined;
}

/** Absence never means reset: what is not known to be free is left as it is. */
function planLeftAlone({ safeMode, desired, observed }: MachineFacts): MachineDecision | undefined {
  const why = safeMode ?? lostRecord(desired, observed);
  return why === undefined ? undefined : waitFor(why, "it is left as it is until then", recheckMs);
}

/** A machine's orders whose outcome is not known yet: those of central, then those of people on site. */
export function openOrders(
  desired: MachineDesired | undefined,
  observed: MachineObserved | undefined,
  localOrders: readonly BmcOrder[],
): readonly BmcOrder[] {
  const ended = new Set(observed?.outcomes.map(({ id }) => id));
  return [...(desired?.orders ?? []), ...localOrders].filter(({ id }) => !ended.has(id));
}

type OrderFacts = Pick<MachineFacts, "localOrders" | "nowMs" | "centralTime">;

/** Whether the order's deadline has certainly not passed, by the clock of whoever gave it. */
export const isGood = (order: BmcOrder, facts: OrderFacts): boolean =>
  !isVoidOrder(order, clockOf(order, facts).latestMs);

/** Why the order must not be carried out; undefined also while it is not known whether its deadline has passed. */
const refusalOf = (order: BmcOrder, facts: OrderFacts & Pick<MachineFacts, "desired">): string | undefined =>
  staleness(order, facts.desired?.epoch ?? 0n, clockOf(order, facts).earliestMs);

const clockOf = (order: BmcOrder, facts: OrderFacts): TimeSpan =>
  isLocal(order, facts) ? exactly(facts.nowMs) : facts.centralTime;

const isLocal = ({ id }: BmcOrder, { localOrders }: OrderFacts): boolean => localOrders.some((o) => o.id === id);

function planOrders(facts: MachineFacts): MachineDecision | undefined {
  const { desired, observed, localOrders } = facts;
  const open = openOrders(desired, observed, localOrders);
  // Of those of one clock the first is the next, also while it is not known whether its deadline has passed.
  const first = [open.find((o) => !isLocal(o, facts)), open.find((o) => isLocal(o, facts))];
  const order = first.find((o) => o && (isGood(o, facts) || refusalOf(o, facts) !== undefined));
  if (!order) return undefined;
  const name = bmcCommandName(order.command);
  const refused = refusalOf(order, facts);
  if (refused) return note({ kind: "refuse-order", order, reason: refused }, `order ${name} is void: ${refused}`, "");
  return act({ kind: "carry-out-order", order }, `carrying out ${name}`, "its outcome is reported");
}

/** A release is entered into the log once per epoch, before anything else of it happens. */
function planRelease({ desired, observed }: MachineFacts): MachineDecision | undefined {
  if (!desired || !isPast(desired, observed) || observed.reclaimedEpoch === desired.epoch) return undefined;
  return note(
    { kind: "enter-reclaim", epoch: desired.epoch },
    "the machine was released",
    "its port is isolated, then it is wiped",
  );
}

/** Whether what runs on the machine was made for an allocation that is over. */
export const isPast = (desired: MachineDesired, observed: MachineObserved): boolean =>
  observed.workedEpoch !== 0n && observed.workedEpoch < desired.epoch;

function planPort({ desired, observed, port, nowMs }: MachineFacts): MachineDecision | undefined {
  const epoch = desired?.epoch ?? 0n;
  const wanted = portNetwork(desired, observed);
  if (wanted !== provisioning && isLeaving(observed, nowMs)) {
    return waitFor("the installer to say its last word", "the port moves to the tenant's network", 500);
  }
  const isolate = wanted === provisioning && desired !== undefined && observed.isolatedEpoch !== epoch;
  switch (port.kind) {
    case "at":
      if (port.network !== wanted) {
        return act(
          { kind: "move-port", port: port.port, network: wanted, epoch },
          `moving port ${port.port} of ${port.switch} from ${port.network} to ${wanted}`,
          "the switch is read back",
        );
      }
      return isolate
        ? note({ kind: "note-isolated", epoch }, "the port was read back in the provisioning network", "")
        : undefined;
    case "unmanaged":
      return isolate ? note({ kind: "note-isolated", epoch }, "the site has no switch to drive", "") : undefined;
    case "unknown":
      if (desired && (isPast(desired, observed) || isReinstallAhead(desired, observed))) {
        const then = isPast(desired, observed) ? "wiped" : "reinstalled";
        return waitFor(
          `the machine's switch port: ${port.why}`,
          `the port is isolated, then the machine is ${then}`,
          10_000,
        );
      }
      return undefined;
  }
}

/** Between its success and its kexec the installer still talks: its port is left alone for a moment. */
const isLeaving = (observed: MachineObserved, nowMs: number): boolean =>
  stateOf(observed.events) === Event.INSTALLING && nowMs - lastHeardMs(observed) < lastWordMs;

function planPower(facts: MachineFacts): MachineDecision {
  const { desired, observed, power } = facts;
  if (power.state === "unknown") {
    const next = bootTarget(desired, observed) === "disk" ? "nothing is owed" : "it is booted into the installer";
    return waitFor(powerless(observed, power.why), next, recheckMs);
  }
  if (observed.heldOff && observed.heldOffEpoch === (desired?.epoch ?? 0n)) {
    return waitFor("it was switched off by an order", "an order switches it on again", recheckMs);
  }
  return bootTarget(desired, observed) === "disk" ? planDisk(facts, power.state) : planInstaller(facts, power.state);
}

/** Without a BMC the machine can still be booted by hand, so say what is under way rather than that nothing is. */
const powerless = (observed: MachineObserved, why: string): string =>
  isInInstaller(observed) ? `the installer works; its BMC cannot be asked: ${why}` : `the BMC: ${why}`;

function planInstaller(facts: MachineFacts, power: "on" | "off"): MachineDecision {
  const { desired, observed, nowMs } = facts;
  const epoch = desired?.epoch ?? 0n;
  const overdue = overdueBoot(desired, observed);
  const { quietMs, againMs: patienceMs } = patienceWith(desired, observed);
  const sinceActionMs = observed.powerActedAt ? nowMs - timestampMs(observed.powerActedAt) : Number.POSITIVE_INFINITY;
  const boot = (action: "on" | "cycle", because: string) =>
    act({ kind: "boot-installer", power: action, epoch, because }, because, "the firmware boots from the network");
  if (sinceActionMs < patienceMs && observed.powerAttempts > 0 && power === "on") {
    return waitFor(
      "the firmware to boot from the network",
      `the machine is reset after ${seconds(patienceMs)} of silence`,
      patienceMs - sinceActionMs + 100,
    );
  }
  const isNew = observed.heardAt === undefined && observed.powerActedAt === undefined;
  if (isNew && (power === "on" || facts.newMachines === "leave alone")) {
    return waitFor(
      `a first boot from the network: the machine is ${power} and was never heard here`,
      "reset it or switch it on by an order to take it in; its disks will be wiped",
      recheckMs,
    );
  }
  if (power === "off") {
    if (sinceActionMs < 15_000) return waitFor("the machine to power on", "the BMC is asked again", 5_000);
    return boot("on", overdue ?? "the machine is off and is to boot the installer");
  }
  if (overdue !== undefined) return boot("cycle", overdue);
  const silentForMs = nowMs - lastHeardMs(observed);
  const isSilent = silentForMs > silentMs && nowMs - facts.listeningSinceMs > silentMs;
  if (isSilent && silentForMs > quietMs)
    return boot("cycle", `the machine is on but has been silent for ${seconds(silentForMs)}`);
  if (isSilent) {
    const next = `the machine is reset after ${seconds(quietMs)} of silence`;
    return waitFor("a sign of life: it was ready", next, Math.min(recheckMs, quietMs - silentForMs + 100));
  }
  const untilSilentMs = silentMs - (nowMs - Math.max(lastHeardMs(observed), facts.listeningSinceMs));
  return waitFor(installerWhy(desired, observed), installerNext(desired), Math.min(recheckMs, untilSilentMs + 100));
}

/** Why what runs on the machine has to give way to the installer; undefined: nothing does. */
function overdueBoot(desired: MachineDesired | undefined, observed: MachineObserved): string | undefined {
  if (desired && isPast(desired, observed)) return "the machine was released and is to be wiped";
  if (!isReinstallAhead(desired, observed)) return undefined;
  return `the machine is to be installed anew, by reinstallation ${reinstallNumber(desired, observed)}`;
}

function planDisk({ desired, observed, nowMs, listeningSinceMs }: MachineFacts, power: "on" | "off"): MachineDecision {
  const epoch = desired?.epoch ?? 0n;
  if (observed.diskBootEpoch !== epoch) {
    return act(
      { kind: "boot-from-disk-next", epoch },
      "telling the BMC to boot from disk from now on",
      "the system phones home",
    );
  }
  if (observed.phonedHomeEpoch === epoch)
    return waitFor(inUseWhy(desired), "it is wiped when it is released", recheckMs * 2);
  if (isAborted(desired, observed) && isBoundForInstaller(observed, epoch)) {
    const because = "the reinstallation was aborted: the old system is booted again";
    return act({ kind: "start-from-disk", epoch, because }, because, "the old system phones home");
  }
  const actedMs = observed.powerActedAt ? timestampMs(observed.powerActedAt) : 0;
  const quietForMs = nowMs - Math.max(actedMs, lastHeardMs(observed), listeningSinceMs);
  const patienceMs = silentMs * 2 ** Math.min(observed.powerAttempts, 4);
  if (power === "off" || quietForMs > patienceMs) {
    const because =
      power === "off"
        ? "the installed machine is off and has never phoned home"
        : `the installed system has not phoned home for ${seconds(quietForMs)}`;
    if (power === "off" && nowMs - actedMs < 15_000)
      return waitFor("the machine to power on", "the BMC is asked again", 5_000);
    return act({ kind: "start-from-disk", epoch, because }, because, "it starts from disk");
  }
  return waitFor(
    "the installed system to phone home",
    `the machine is restarted after ${seconds(patienceMs)} of silence`,
    recheckMs,
  );
}

/**
 * Whether the machine was last switched on for the installer, or is in it. Where its port is the tenant's again, firmware that boots from
 * the network would find nobody, and may try for minutes.
 */
function isBoundForInstaller(observed: MachineObserved, epoch: bigint): boolean {
  const done = observed.effects.filter(
    (e) => e.epoch === epoch && e.error === "" && switches.includes(e.effect as MachineEffect["kind"]),
  );
  return done.at(-1)?.effect === "boot-installer" || (isInInstaller(observed) && observed.powerAttempts === 0);
}

const switches: readonly MachineEffect["kind"][] = ["boot-installer", "start-from-disk", "carry-out-order"];

const inUseWhy = (desired: MachineDesired | undefined): string => {
  const aborted = desired?.reinstall?.aborted ? `; reinstallation ${desired.reinstall.number} was aborted` : "";
  return `nothing: the machine is in use${aborted}`;
};

/** A machine in one of these runs the installer, or is about to. */
export const installerStates: readonly Event[] = [
  Event.PXE_BOOTING,
  Event.PREPARING,
  Event.REGISTERING,
  Event.WAITING,
  Event.INSTALLING,
];

const isInInstaller = (observed: MachineObserved): boolean => installerStates.includes(stateOf(observed.events));

function installerWhy(desired: MachineDesired | undefined, observed: MachineObserved): string {
  const system = isReinstallDue(desired, observed) ? systemOnDisk(desired, observed) : "none";
  const abortable = system === "whole" ? "; the old system is still whole, and boots again if this is aborted" : "";
  if (observed.lastFailure !== "") return `another try, after: ${observed.lastFailure}${abortable}`;
  switch (stateOf(observed.events)) {
    case Event.WAITING:
      if (desired?.allocation) return "the installer to fetch its allocation";
      return observed.sizeProblem === "" ? "an allocation" : `a size: ${observed.sizeProblem}`;
    case Event.INSTALLING:
      return "the installation to finish";
    case Event.REGISTERING:
      return system === "none" ? "the disks to be wiped" : "the reinstallation to begin";
    default:
      return "the installer to report";
  }
}

const installerNext = (desired: MachineDesired | undefined): string =>
  desired?.allocation ? "the machine is installed" : "the machine can be allocated";

const lastHeardMs = (observed: MachineObserved): number => (observed.heardAt ? timestampMs(observed.heardAt) : 0);

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

const act = (effect: MachineEffect, why: string, next: string): MachineDecision => ({ kind: "act", effect, why, next });

const note = (what: MachineNote, why: string, next: string): MachineDecision => ({
  kind: "note",
  note: what,
  why,
  next,
});

const waitFor = (why: string, next: string, recheckAfterMs: number): MachineDecision => ({
  kind: "wait",
  why,
  next,
  recheckAfterMs,
});
