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
import type { DesiredItem } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { lostRecord } from "../machine/lost-record.ts";
import { isPast } from "../machine/plan.ts";
import type { Observations } from "../observations/observations.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { differs, itemDifference } from "./item-difference.ts";
import type { Ledger } from "./ledger.ts";

const machinesMax = 500;
const itemsMax = 50;

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
  /** Ids of what differs, by kind; undefined until both histories were compared. */
  #differing: Map<string, Set<string>> | undefined;

  constructor(ports: HoldPorts) {
    this.#ports = ports;
    this.#sinceMs = ports.clock.wallMs();
    this.#isTold = ports.ledger.held !== undefined;
  }

  /** Undefined while nothing is held. */
  get present(): HistoryHold | undefined {
    const { cursor, held } = this.#ports.ledger;
    if (!held) return undefined;
    this.#differing ??= this.#compare();
    const uuids = this.#differing.get("machine") ?? new Set();
    const others = [...this.#differing].filter(([kind]) => kind !== "machine").sort(([a], [b]) => (a < b ? -1 : 1));
    return create(HistoryHoldSchema, {
      partition: this.#ports.partition,
      inForce: cursor.history,
      held: held.history,
      revision: held.revision,
      since: timestampFromMs(this.#sinceMs),
      machines: first(uuids, machinesMax).map((uuid) => machineDifference(uuid, this.#sidesOf(uuid))),
      machinesTotal: uuids.size,
      others: others.map(([kind, ids]) => ({
        kind,
        items: ids.size,
        named: first(ids, itemsMax).map((id) => itemDifference(id, this.#ports.ledger.sidesOf(kind, id))),
      })),
    });
  }

  /** @param items of what is held that have changed; undefined when another set is held, or none */
  changed(items?: readonly DesiredItem[]): void {
    const { partition, outbox, clock, log, ledger } = this.#ports;
    if (!items) this.#differing = undefined;
    for (const { kind, id } of items ?? []) {
      if (differs(ledger.sidesOf(kind, id))) add(this.#differing, kind, id);
      else remove(this.#differing, kind, id);
    }
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

  #compare(): Map<string, Set<string>> {
    const differing = new Map<string, Set<string>>();
    for (const { kind, id } of this.#ports.ledger.differences()) add(differing, kind, id);
    return differing;
  }

  #sidesOf(uuid: string): Sides {
    const { partition, ledger, observations, outbox } = this.#ports;
    const own = (desired: MachineDesired | undefined) =>
      effectiveDesired(desired, undefined, { partition, outbox: outbox.id });
    return {
      inForce: own(ledger.get("machine", uuid, MachineDesiredSchema)),
      held: own(ledger.getHeld("machine", uuid, MachineDesiredSchema)),
      seen: observations.get(uuid),
    };
  }
}

/** Of what is compared already; what is not will be compared as it is then. */
function add(differing: Map<string, Set<string>> | undefined, kind: string, id: string): void {
  const ids = differing?.get(kind) ?? new Set();
  differing?.set(kind, ids.add(id));
}

function remove(differing: Map<string, Set<string>> | undefined, kind: string, id: string): void {
  const ids = differing?.get(kind);
  ids?.delete(id);
  if (ids?.size === 0) differing?.delete(kind);
}

const first = (ids: ReadonlySet<string>, max: number): readonly string[] => [...ids].sort().slice(0, max);

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
