// Brings one machine to what central wants of it: gathers facts, lets `planMachine` decide, performs one effect, looks again.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isInstalled } from "#domain/machine/boot-target.ts";
import { recordEvent } from "#domain/machine/lifecycle.ts";
import { livelinessLeftMs, livelinessNow } from "#domain/machine/liveliness.ts";
import { isReinstallAhead, reinstallNumber } from "#domain/machine/reinstall.ts";
import {
  type BmcOrder,
  BmcOrderOutcomeSchema,
  type EffectRecord,
  type MachineDesired,
  type MachineObserved,
  MachinePortSchema,
  MachineProgressSchema,
  type Reinstall,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  MachineBMCCommand as Command,
  MachineProvisioningEventType as Event,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { type Outcome, wait } from "#lib/reconcile.ts";
import { sometimes } from "#lib/sometimes.ts";
import type { Bmc } from "../bmc/bmc.ts";
import type { BootFiles } from "../boot/boot-files.ts";
import { desiredOf, type Site } from "../boot/site.ts";
import type { TimeSpan } from "../link/central-time.ts";
import { carryOut } from "./carry-out.ts";
import { beginEffect, effectRecord, endEffect } from "./effect-journal.ts";
import { isReady } from "./patience.ts";
import {
  isGood,
  type MachineDecision,
  type MachineEffect,
  type MachineFacts,
  type MachineNote,
  type PortFact,
  planMachine,
} from "./plan.ts";

/** Effects performed in one run before the key is queued again: a bound, not a rate. */
const effectsMax = 8;
/** An installer reports every second; its BMC is not asked as often. */
const powerKeepMs = 3_000;
/** Kept of one machine, beside those of orders that are still told. */
const outcomesMax = 16;
/** What was seen longer ago is looked at again before anything is done to the machine: this process may have stood still. */
const lookGoodMs = 30_000;

/** How the reconciler reaches the site's switches. */
export interface PortControl {
  locate(machine: MachineObserved, signal: AbortSignal): Promise<PortFact>;
  /** Resolves when the port was read back in that network. */
  move(port: string, network: string, signal: AbortSignal): Promise<void>;
}

export interface MachineReconcilerPorts {
  readonly site: Site;
  readonly files: BootFiles;
  /** The machine's BMC; undefined while none with its GUID was found. */
  readonly bmcOf: (uuid: string) => Bmc | undefined;
  readonly ports: PortControl;
  /** Orders to a machine that people on site gave. */
  readonly localOrders: (uuid: string) => readonly BmcOrder[];
  readonly centralTime: () => TimeSpan;
  readonly newMachines: MachineFacts["newMachines"];
  readonly listeningSinceMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class MachineReconciler {
  readonly #ports: MachineReconcilerPorts;
  /** What the BMCs said last, until something is done to the machine. */
  readonly #powers = new Map<string, { readonly state: "on" | "off"; readonly atMs: number }>();

  constructor(ports: MachineReconcilerPorts) {
    this.#ports = ports;
  }

  async reconcile(uuid: string, signal: AbortSignal): Promise<Outcome> {
    const { site, random, log } = this.#ports;
    if (!site.observations.get(uuid) && !desiredOf(site, uuid)) return wait("the machine is gone", 24 * 3_600_000);
    for (let i = 0; i < effectsMax && !signal.aborted; i++) {
      const facts = await this.#gather(uuid, signal);
      const decision = planMachine(facts);
      const record = decision.kind === "act" ? effectRecord(decision.effect, decision.why, random) : undefined;
      const observed = await this.#tell(uuid, facts, decision, record);
      if (decision.kind === "wait") {
        return wait(decision.why, Math.min(decision.recheckAfterMs, livelinessLeftMs(observed, facts)));
      }
      if (this.#isOver(uuid, facts)) {
        sometimes(log, "what an effect was decided on had changed before its turn came");
        if (record) await this.#end(uuid, record, "it was not begun: what it was decided on had changed");
        continue;
      }
      this.#powers.delete(uuid);
      if (decision.kind === "note") await this.#note(uuid, facts, decision.note);
      else if (record) await this.#act(uuid, facts, { effect: decision.effect, record }, signal);
    }
    return wait("more is to be done", 100);
  }

  /** Puts a failure of the world into the machine's status. */
  async failed(uuid: string, error: unknown): Promise<void> {
    const why = reasonOf(error);
    await this.#ports.site.observations.update(uuid, (m) => this.#say(m, why, "it is tried again"));
  }

  async #gather(uuid: string, signal: AbortSignal): Promise<MachineFacts> {
    const { site, ports, centralTime, newMachines, listeningSinceMs, clock } = this.#ports;
    const known = site.observations.get(uuid) ?? (await site.observations.update(uuid, () => {}));
    const [power, port] = await Promise.all([this.#power(uuid, signal), ports.locate(known, signal)]);
    // Read after the waiting: BMC and switch may have taken long to answer.
    const desired = desiredOf(site, uuid);
    if (desired?.allocation?.image) this.#ports.files.prefetch(desired.allocation.image.url);
    return {
      safeMode: site.safeMode.why,
      desired,
      observed: site.observations.get(uuid) ?? known,
      localOrders: this.#ports.localOrders(uuid),
      power,
      port,
      nowMs: clock.wallMs(),
      centralTime: centralTime(),
      newMachines,
      listeningSinceMs,
    };
  }

  /** Whether the decision's ground is gone: it is asked right before the act, since writing it down may have taken a while. */
  #isOver(uuid: string, facts: MachineFacts): boolean {
    const { site, clock, centralTime } = this.#ports;
    const { desired, safeMode, localOrders, nowMs } = facts;
    const later = { localOrders, nowMs: clock.wallMs(), centralTime: centralTime() };
    const orders = [...(desired?.orders ?? []), ...localOrders];
    return (
      desiredOf(site, uuid)?.epoch !== desired?.epoch ||
      isOtherReinstall(desiredOf(site, uuid)?.reinstall, desired?.reinstall) ||
      site.safeMode.why !== safeMode ||
      Math.abs(later.nowMs - nowMs) > lookGoodMs ||
      orders.some((order) => isGood(order, facts) && !isGood(order, later))
    );
  }

  async #power(uuid: string, signal: AbortSignal): Promise<MachineFacts["power"]> {
    const bmc = this.#ports.bmcOf(uuid);
    if (!bmc) return { state: "unknown", why: "no BMC with this machine's GUID was found" };
    const nowMs = this.#ports.clock.monotonicMs();
    const known = this.#powers.get(uuid);
    if (known && nowMs - known.atMs < powerKeepMs) return { state: known.state };
    try {
      const state = await bmc.powerState(signal);
      this.#powers.set(uuid, { state, atMs: nowMs });
      return { state };
    } catch (error) {
      return { state: "unknown", why: reasonOf(error) };
    }
  }

  /** Writes down what was found and decided; nothing is written when nothing is new. */
  async #tell(
    uuid: string,
    facts: MachineFacts,
    decision: MachineDecision,
    record: EffectRecord | undefined,
  ): Promise<MachineObserved> {
    const { site, files, clock } = this.#ports;
    const image = facts.desired?.allocation?.image;
    const missing = image && !isInstalled(facts.desired, facts.observed) ? files.problem(image.url) : undefined;
    return await site.observations.update(uuid, (m) => {
      m.epoch = facts.desired?.epoch ?? 0n;
      if (facts.power.state !== "unknown" && m.bmc) m.bmc.powerState = facts.power.state;
      if (facts.port.kind === "at") notePort(m, facts.port, clock.wallMs());
      m.liveliness = livelinessNow(m, { ...facts, nowMs: clock.wallMs() });
      this.#say(m, missing ?? decision.why, decision.next);
      if (record) beginEffect(m, record, clock.wallMs());
    });
  }

  #say(m: MachineObserved, why: string, next: string): void {
    m.progress ??= create(MachineProgressSchema);
    if (m.progress.why !== why) m.progress.since = timestampFromMs(this.#ports.clock.wallMs());
    m.progress.why = why;
    m.progress.next = next;
  }

  async #note(uuid: string, facts: MachineFacts, note: MachineNote): Promise<void> {
    const { site, log, clock } = this.#ports;
    const nowMs = clock.wallMs();
    const fields = {
      machine: uuid,
      effect: note.kind,
      epoch: `${epochOf(note)}`,
      ...(note.kind === "refuse-order" && { order: note.order.id }),
    };
    log.info(note.kind === "close-effect" ? "machine-looked-back" : "machine-effect", fields);
    if (note.kind === "close-effect") sometimes(log, "an effect was found begun by a former life");
    if (note.kind === "refuse-order") sometimes(log, "an order was void when its turn came");
    await site.observations.update(uuid, (m) => {
      switch (note.kind) {
        case "close-effect":
          return closeEffect(m, facts, note, nowMs);
        case "refuse-order":
          return addOutcome(m, facts, { order: note.order, error: note.reason }, nowMs);
        case "enter-reclaim":
          hearReclaim(m, nowMs);
          m.reclaimedEpoch = note.epoch;
          return;
        case "note-isolated":
          m.isolatedEpoch = note.epoch;
          return;
      }
    });
  }

  async #act(
    uuid: string,
    facts: MachineFacts,
    { effect, record }: { readonly effect: MachineEffect; readonly record: EffectRecord },
    signal: AbortSignal,
  ): Promise<void> {
    const { site, log, clock } = this.#ports;
    const { opId, why } = record;
    log.info("machine-effect", { machine: uuid, effect: effect.kind, epoch: `${record.epoch}`, op: opId, why });
    const doubt = await this.#perform(uuid, effect, signal).catch(async (error: unknown) => {
      // Who is told to stop in the middle of it cannot know how it ended.
      if (!signal.aborted) await this.#end(uuid, record, reasonOf(error));
      throw error;
    });
    // When this cannot be written, the effect is looked back at like one of a former life.
    await site.observations.update(uuid, (m) => {
      const nowMs = clock.wallMs();
      endEffect(m, record, doubt ?? "", nowMs);
      if (effect.kind === "carry-out-order") orderEnded(m, facts, { order: effect.order, error: doubt ?? "" }, nowMs);
      if (effect.kind === "boot-from-disk-next") m.diskBootEpoch = effect.epoch;
    });
  }

  async #end(uuid: string, record: EffectRecord, error: string): Promise<void> {
    const { site, clock } = this.#ports;
    await site.observations.update(uuid, (m) => endEffect(m, record, error, clock.wallMs()));
  }

  /** @returns why nobody knows whether it was done */
  async #perform(uuid: string, effect: MachineEffect, signal: AbortSignal): Promise<string | undefined> {
    const { site, ports, clock } = this.#ports;
    const efi = this.#isEfi(uuid);
    switch (effect.kind) {
      case "carry-out-order":
        return await carryOut({ bmc: this.#bmc(uuid), efi }, effect.order.command, signal);
      case "move-port":
        await ports.move(effect.port, effect.network, signal);
        return;
      case "boot-installer":
        await site.observations.update(uuid, (m) => {
          noteBootInstaller(m, desiredOf(site, uuid), effect, clock.wallMs());
        });
        await this.#bmc(uuid).setBootDevice({ device: "pxe", persistent: false, efi }, signal);
        await this.#bmc(uuid).power(effect.power, signal);
        return;
      case "boot-from-disk-next":
        await this.#bmc(uuid).setBootDevice({ device: "disk", persistent: true, efi }, signal);
        return;
      case "start-from-disk":
        await site.observations.update(uuid, (m) => noteAttempt(m, clock.wallMs()));
        await this.#bmc(uuid).power((await this.#bmc(uuid).powerState(signal)) === "on" ? "cycle" : "on", signal);
        return;
    }
  }

  /** As it last booted from the network; before that nobody knows, and a BMC takes the flag for BIOS. */
  #isEfi(uuid: string): boolean {
    return this.#ports.site.observations.get(uuid)?.firmware === "efi";
  }

  #bmc(uuid: string): Bmc {
    const bmc = this.#ports.bmcOf(uuid);
    if (!bmc) throw new Error(`machine ${uuid} has no BMC`);
    return bmc;
  }
}

/** Whether a reinstallation was ordered or called off between the two. */
const isOtherReinstall = (now: Reinstall | undefined, before: Reinstall | undefined): boolean =>
  now?.number !== before?.number || now?.aborted !== before?.aborted;

const epochOf = (note: MachineNote): bigint => {
  if ("order" in note) return note.order.epoch;
  return "record" in note ? note.record.epoch : note.epoch;
};

/** The release is our own word, not the machine's: it is no sign of life. */
function hearReclaim(m: MachineObserved, nowMs: number): void {
  m.events = recordEvent(m.events, Event.MACHINE_RECLAIM, "", nowMs);
  m.powerAttempts = 0;
}

/** Counted before the BMC is asked: a restart in between must not forget that the machine was switched. */
function noteAttempt(m: MachineObserved, nowMs: number): void {
  m.powerAttempts++;
  m.powerActedAt = timestampFromMs(nowMs);
}

function noteBootInstaller(
  m: MachineObserved,
  desired: MachineDesired | undefined,
  { power, because }: Extract<MachineEffect, { kind: "boot-installer" }>,
  nowMs: number,
): void {
  noteAttempt(m, nowMs);
  // As if it were released once more: its boot is expected, and no crash loop.
  if (power === "cycle" && isReady(desired, m)) m.events = recordEvent(m.events, Event.MACHINE_RECLAIM, because, nowMs);
  // In the place of what the BMC was told before.
  m.diskBootEpoch = 0n;
  if (!isReinstallAhead(desired, m)) return;
  // What was running there is gone from now on, whether or not the installer comes.
  m.phonedHomeEpoch = 0n;
  const text = `reinstallation ${reinstallNumber(desired, m)}`;
  m.events = recordEvent(m.events, Event.PLANNED_REBOOT, text, nowMs);
}

function notePort(m: MachineObserved, port: Extract<PortFact, { kind: "at" }>, nowMs: number): void {
  const { port: known } = m;
  if (known?.switch === port.switch && known.port === port.port && known.network === port.network) return;
  m.port = create(MachinePortSchema, {
    switch: port.switch,
    port: port.port,
    network: port.network,
    readAt: timestampFromMs(nowMs),
  });
}

/** What a former life of the agent had begun, as the world shows it now. An order that was not done is still open. */
function closeEffect(
  m: MachineObserved,
  facts: MachineFacts,
  { record, found }: Extract<MachineNote, { kind: "close-effect" }>,
  nowMs: number,
): void {
  const error = found.kind === "done" ? "" : found.why;
  endEffect(m, record, error, nowMs);
  if (record.order && found.kind !== "not-done") orderEnded(m, facts, { order: record.order, error }, nowMs);
}

interface EndedOrder {
  readonly order: BmcOrder;
  readonly error: string;
}

/** It was carried out, or may have been. */
function orderEnded(m: MachineObserved, facts: MachineFacts, ended: EndedOrder, nowMs: number): void {
  addOutcome(m, facts, ended, nowMs);
  noteOrder(m, ended.order.command, ended.order.epoch, nowMs);
}

/** As long as an order is told its outcome is kept, or it would be carried out once more. */
function addOutcome(m: MachineObserved, facts: MachineFacts, { order, error }: EndedOrder, nowMs: number): void {
  const told = new Set([...(facts.desired?.orders ?? []), ...facts.localOrders].map(({ id }) => id));
  const epoch = facts.desired?.epoch ?? 0n;
  const outcome = create(BmcOrderOutcomeSchema, { id: order.id, error, at: timestampFromMs(nowMs), order, epoch });
  const all = [...m.outcomes, outcome];
  m.outcomes = [...all.slice(0, -outcomesMax).filter(({ id }) => told.has(id)), ...all.slice(-outcomesMax)];
}

function noteOrder(m: MachineObserved, command: Command, epoch: bigint, nowMs: number): void {
  if (command === Command.MACHINE_BMC_COMMAND_OFF) {
    m.heldOff = true;
    m.heldOffEpoch = epoch;
  } else if (powersOn.includes(command)) {
    m.heldOff = false;
    m.powerAttempts = 0;
    noteAttempt(m, nowMs);
    m.events = recordEvent(m.events, Event.PLANNED_REBOOT, "ordered", nowMs);
  }
}

const powersOn: readonly Command[] = [
  Command.MACHINE_BMC_COMMAND_ON,
  Command.MACHINE_BMC_COMMAND_RESET,
  Command.MACHINE_BMC_COMMAND_CYCLE,
];
