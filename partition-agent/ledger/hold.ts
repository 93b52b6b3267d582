// What waits for somebody's word after central told another history: how it differs from what is acted on, and what would come of it.
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { effectiveDesired } from "#domain/budget/effective.ts";
import { isInstalled } from "#domain/machine/boot-target.ts";
import { keepsDisks } from "#domain/machine/reinstall.ts";
import {
  type HistoryHold,
  HistoryHoldSchema,
  type MachineDifference,
  MachineDifferenceSchema,
} from "#gen/holdfast/state/v1/history_pb.ts";
import { type MachineDesired, MachineDesiredSchema, type MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { lostRecord } from "../machine/lost-record.ts";
import { isPast } from "../machine/plan.ts";
import type { Observations } from "../observations/observations.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { Ledger } from "./ledger.ts";

const toldMax = 500;

export interface HoldPorts {
  readonly partition: string;
  readonly ledger: Ledger;
  readonly observations: Observations;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Log;
}

/** Tells central of what the ledger holds, whenever that changes and once when it ends. */
export class HoldReport {
  readonly #ports: HoldPorts;
  #sinceMs: number;
  #isTold: boolean;

  constructor(ports: HoldPorts) {
    this.#ports = ports;
    this.#sinceMs = ports.clock.wallMs();
    this.#isTold = ports.ledger.held !== undefined;
  }

  /** Undefined while nothing is held. */
  get present(): HistoryHold | undefined {
    return holdOf(this.#ports, this.#sinceMs);
  }

  changed(): void {
    const { partition, outbox, clock, log } = this.#ports;
    const { present } = this;
    if (!present && !this.#isTold) return;
    if (present && !this.#isTold) this.#sinceMs = clock.wallMs();
    this.#isTold = present !== undefined;
    const value = toBinary(HistoryHoldSchema, present ?? create(HistoryHoldSchema, { partition }));
    // What is not told now is told with the next change; the agent's own status has it anyway.
    outbox
      .put({ kind: "history-hold", id: partition, value, seenMs: clock.wallMs() })
      .catch((error: unknown) => log.error("history-hold-not-told", { error }));
  }
}

function holdOf({ partition, ledger, observations, outbox }: HoldPorts, sinceMs: number): HistoryHold | undefined {
  const { cursor, held } = ledger;
  if (!held) return undefined;
  const machines: MachineDifference[] = [];
  const others = new Map<string, number>();
  const own = (desired: MachineDesired | undefined) =>
    effectiveDesired(desired, undefined, { partition, outbox: outbox.id });
  let total = 0;
  for (const { kind, id } of ledger.differences()) {
    if (kind !== "machine") others.set(kind, (others.get(kind) ?? 0) + 1);
    else if (++total <= toldMax) {
      machines.push(
        machineDifference(id, {
          inForce: own(ledger.get(kind, id, MachineDesiredSchema)),
          held: own(ledger.getHeld(kind, id, MachineDesiredSchema)),
          seen: observations.get(id),
        }),
      );
    }
  }
  return create(HistoryHoldSchema, {
    partition,
    inForce: cursor.history,
    held: held.history,
    revision: held.revision,
    since: timestampFromMs(sinceMs),
    machines,
    machinesTotal: total,
    others: Array.from(others, ([kind, items]) => ({ kind, items })),
  });
}

export interface Sides {
  readonly inForce: MachineDesired | undefined;
  readonly held: MachineDesired | undefined;
  readonly seen: MachineObserved | undefined;
}

export const machineDifference = (uuid: string, sides: Sides): MachineDifference =>
  create(MachineDifferenceSchema, {
    uuid,
    inForce: wantedText(sides.inForce),
    held: wantedText(sides.held),
    seen: seenText(sides.seen),
    consequence: consequence(sides),
  });

const wantedText = (desired: MachineDesired | undefined): string =>
  desired === undefined
    ? "unknown"
    : `epoch ${desired.epoch}, ${desired.allocation ? `allocated to project ${desired.allocation.project}` : "free"}`;

const seenText = (seen: MachineObserved | undefined): string => {
  if (!seen) return "never seen";
  return seen.workedEpoch === 0n ? "works for nobody" : `works for epoch ${seen.workedEpoch}`;
};

/** What the agent does with the machine once the held history is in force. */
function consequence({ inForce, held, seen }: Sides): string {
  if (lostRecord(held, seen) !== undefined) return "it is left as it is until somebody reclaims it";
  if (!held) return "it is forgotten, and taken in anew when it boots";
  if (seen && isPast(held, seen)) return "it is wiped";
  if (held.allocation && !isInstalled(held, seen)) {
    const how = keepsDisks(held, seen) ? "reinstalled" : "installed";
    return `it is ${how} for project ${held.allocation.project}`;
  }
  if (held.orders.length > 0) return `${held.orders.length} orders to its BMC are carried out`;
  return inForce?.epoch === held.epoch ? "it goes on as it is" : "its epoch changes, and nothing else";
}
