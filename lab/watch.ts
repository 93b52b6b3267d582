import { setTimeout as delay } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { MachineProgress } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  MachineProvisioningEventType as Event,
  type Machine,
  type MachineProvisioningEvent,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Api } from "./api.ts";
import type { LabPlan } from "./plan.ts";
import type { Timeline } from "./timeline.ts";
import { Changes } from "./waiting.ts";

/** What the public API said last about one machine. */
export interface Seen {
  readonly machine: Machine;
  readonly progress: MachineProgress | undefined;
}

const retryMs = 300;

/** Stages of the timeline that come from the machine's events. */
const eventStages: Partial<Record<Event, string>> = {
  [Event.PXE_BOOTING]: "boot script",
  [Event.PREPARING]: "installer",
  [Event.REGISTERING]: "registered",
  [Event.WAITING]: "waiting",
  [Event.INSTALLING]: "installing",
  [Event.BOOTING_NEW_KERNEL]: "installed",
  [Event.PHONED_HOME]: "phoned home",
  [Event.CRASHED]: "crashed",
  [Event.PLANNED_REBOOT]: "planned reboot",
};

/** Follows `holdfast.api.v1.MachineService.Watch` through every end of central, and feeds the timeline with it. */
export class MachineWatch {
  readonly changes = new Changes();
  readonly #seen = new Map<string, Seen>();
  readonly #plan: LabPlan;
  readonly #timeline: Timeline;
  #isConnected = false;

  constructor(plan: LabPlan, timeline: Timeline) {
    this.#plan = plan;
    this.#timeline = timeline;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get(uuid: string): Seen | undefined {
    return this.#seen.get(uuid);
  }

  /** Runs until the signal aborts. */
  async follow(api: Api, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const response of api.progress.watch({}, { signal })) {
          this.#isConnected = true;
          this.#take(response.machine, response.progress, response.deleted);
          this.changes.changed();
        }
      } catch {
        // Central is away; what it is told in the meantime comes with the next stream.
      }
      this.#isConnected = false;
      this.changes.changed();
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #take(machine: Machine | undefined, progress: MachineProgress | undefined, isDeleted: boolean): void {
    if (machine === undefined) return;
    if (isDeleted) {
      this.#seen.delete(machine.uuid);
      return;
    }
    this.#seen.set(machine.uuid, { machine, progress });
    const name = this.#plan.machines.find((m) => m.uuid === machine.uuid)?.name ?? machine.uuid;
    for (const event of eventsOf(machine)) {
      const stage = eventStages[event.event];
      if (stage !== undefined && event.time)
        this.#timeline.add({ machine: name, stage, atMs: timestampMs(event.time) });
    }
    for (const step of progress?.steps ?? []) {
      const failed = step.error === "" ? "" : ` failed: ${step.error}`;
      if (step.endedAt)
        this.#timeline.add({ machine: name, stage: `  ${step.name}${failed}`, atMs: timestampMs(step.endedAt) });
    }
  }

  /** Waits until what is known of the machine pleases. */
  until(uuid: string, want: { what: string; deadlineMs: number }, pleases: (seen: Seen) => boolean): Promise<Seen> {
    const now = () => progressLine(this.#seen.get(uuid));
    return this.changes.until({ ...want, now }, () => {
      const seen = this.#seen.get(uuid);
      return seen !== undefined && pleases(seen) ? seen : undefined;
    });
  }
}

/** Events of a machine, oldest first. */
export function eventsOf(machine: Machine): readonly MachineProvisioningEvent[] {
  const at = (e: MachineProvisioningEvent) => (e.time ? timestampMs(e.time) : 0);
  return [...(machine.recentProvisioningEvents?.events ?? [])].sort((a, b) => at(a) - at(b));
}

/** ALIVE only says that it lives; what it does is in the event before. */
export const lastEvent = (machine: Machine): MachineProvisioningEvent | undefined =>
  eventsOf(machine).findLast((e) => e.event !== Event.ALIVE);

export const isWaiting = (seen: Seen): boolean =>
  seen.machine.allocation === undefined && lastEvent(seen.machine)?.event === Event.WAITING;

export const hasPhonedHome = (seen: Seen): boolean =>
  seen.machine.allocation !== undefined && lastEvent(seen.machine)?.event === Event.PHONED_HOME;

export function progressLine(seen: Seen | undefined): string {
  if (seen === undefined) return "central does not know the machine";
  const stage = eventStages[lastEvent(seen.machine)?.event ?? Event.UNSPECIFIED] ?? "no event";
  const why = seen.progress?.why ?? "";
  return why === "" ? stage : `${stage}; ${why}`;
}

/** Name of the step that the installer is at, when it is at one. */
export const currentStep = (progress: MachineProgress | undefined): string | undefined =>
  progress?.steps.findLast((s) => s.startedAt !== undefined && s.endedAt === undefined)?.name;
