// What the agent saw of each machine. One writer: this agent.
// Invariants: what is read here is durable, together with its outbox entry; changes of one machine build on each other in
// the order in which they were asked for; a write that failed leaves nothing behind, unless a newer one carried it along.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { recollected } from "#domain/machine/recollect.ts";
import { type MachineObserved, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import { copyOf, isSame } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Outbox } from "../outbox/outbox.ts";

const table = "observed";
const metaTable = "observed-meta";
const historyKey = "told-history";
const turnKey = "told-turn";
/** Machines that are told again at once: their writes share a flush. */
const retoldAtOnce = 100;
/** Whoever reaches the provisioning network can claim to be a new machine. */
const machinesMaxUsual = 20_000;

export interface ObservationsPorts {
  readonly partition: string;
  readonly disk: Disk;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after a change is durable. */
  readonly changed: (uuid: string) => void;
  readonly machinesMax?: number;
}

/** To whom everything was reported, or is on its way. */
export interface Told {
  /** Of the store of that central. */
  readonly history: string;
  /** In which turn of reporting: between two of them another outbox spoke for the partition (ReportResponse.turn). */
  readonly turn: bigint;
}

/** The newest state of a machine, while it is on its way to the disk. */
interface Pending {
  readonly machine: MachineObserved;
  readonly written: Promise<void>;
}

export class Observations {
  readonly #ports: ObservationsPorts;
  readonly #machines = new Map<string, MachineObserved>();
  readonly #pending = new Map<string, Pending>();
  /** Number of the update that is shown, by machine. */
  readonly #shown = new Map<string, number>();
  #updates = 0;
  #told: Told;
  /** Machines by the addresses of their network interfaces; normally one each. */
  readonly #byMac = new Map<string, Set<string>>();

  constructor(ports: ObservationsPorts) {
    this.#ports = ports;
    const text = (key: string) => new TextDecoder().decode(ports.disk.get(metaTable, key));
    const turn = text(turnKey);
    this.#told = { history: text(historyKey), turn: /^\d{1,20}$/.test(turn) ? BigInt(turn) : 0n };
    for (const [uuid, bytes] of ports.disk.entries(table)) {
      try {
        this.#show(uuid, fromBinary(MachineObservedSchema, bytes));
      } catch (error) {
        ports.log.error("observation-damaged", { machine: uuid, error });
      }
    }
  }

  /** Shared: never change what is returned. */
  get(uuid: string): MachineObserved | undefined {
    return this.#machines.get(uuid);
  }

  list(): readonly MachineObserved[] {
    return [...this.#machines.values()];
  }

  get told(): Told {
    return this.#told;
  }

  /** Whether everything was told there. */
  isTold({ history, turn }: Partial<Told>): boolean {
    return (history ?? this.#told.history) === this.#told.history && (turn ?? this.#told.turn) === this.#told.turn;
  }

  /**
   * The machine that has a network interface with this address; the first one known when several do.
   * @param other this one does not count
   */
  byMac(mac: string, other?: string): MachineObserved | undefined {
    for (const uuid of this.#byMac.get(mac.toLowerCase()) ?? []) if (uuid !== other) return this.#machines.get(uuid);
    return undefined;
  }

  /**
   * Changes what is known of a machine, from the newest state; makes it known when it was not.
   * Resolves when the change is durable. A change that changes nothing writes nothing.
   * @param change of a draft; what it throws goes to the caller, and nothing has changed
   * @throws Refusal "exhausted" for a machine too many; the disk's own trouble
   */
  update(uuid: string, change: (machine: MachineObserved) => void): Promise<MachineObserved> {
    return this.#update(uuid, change, false);
  }

  async #update(
    uuid: string,
    change: (machine: MachineObserved) => void,
    isToldAgain: boolean,
  ): Promise<MachineObserved> {
    const pending = this.#pending.get(uuid);
    const before = pending?.machine ?? this.#machines.get(uuid);
    const after = before ? copyOf(before) : this.#newcomer(uuid);
    change(after);
    if (before && !isToldAgain && isSame(before, after)) {
      await pending?.written;
      return before;
    }
    const number = ++this.#updates;
    const next = { machine: after, written: this.#write(uuid, after) };
    this.#pending.set(uuid, next);
    try {
      await next.written;
    } finally {
      // When it failed, the next change starts from what is durable, unless a newer one carries this one with it.
      if (this.#pending.get(uuid) === next) this.#pending.delete(uuid);
    }
    if ((this.#shown.get(uuid) ?? 0) < number) this.#show(uuid, after);
    this.#shown.set(uuid, Math.max(number, this.#shown.get(uuid) ?? 0));
    this.#ports.changed(uuid);
    return after;
  }

  /**
   * Everything once more, for a central whose store has another history than the one that was told before, or that heard somebody else
   * since then: it may have forgotten what it had acknowledged. Resolves when it is in the outbox for good.
   */
  async tellAll(to: Partial<Told>): Promise<void> {
    if (this.isTold(to)) return;
    const machines = [...this.#machines.keys()];
    for (let i = 0; i < machines.length; i += retoldAtOnce)
      await Promise.all(machines.slice(i, i + retoldAtOnce).map((uuid) => this.#update(uuid, () => {}, true)));
    const row = (key: string, value: unknown): Change[] =>
      value === undefined ? [] : [{ table: metaTable, key, value: new TextEncoder().encode(`${value}`) }];
    await this.#ports.disk.write([...row(historyKey, to.history), ...row(turnKey, to.turn)]);
    const former = this.#told;
    this.#told = { ...former, ...to };
    this.#ports.log.info("all-told-again", { machines: machines.length, former, told: this.#told });
  }

  /** Takes back what this agent once reported, where it knows no better. Resolves when it is durable. */
  async recollect(entries: readonly ReportEntry[]): Promise<void> {
    for (const { kind, id, value } of entries) {
      if (kind !== "machine") continue;
      const told = fromBinary(MachineObservedSchema, value);
      await this.update(id, (m) => {
        Object.assign(m, recollected(this.#machines.has(id) ? m : undefined, told));
      });
    }
    this.#ports.log.info("machines-recollected", { machines: entries.length });
  }

  #newcomer(uuid: string): MachineObserved {
    const { partition, machinesMax = machinesMaxUsual } = this.#ports;
    if (this.#machines.size + this.#pending.size >= machinesMax) {
      throw new Refusal("exhausted", `machine ${uuid} would be one more than the ${machinesMax} that an agent serves`);
    }
    return create(MachineObservedSchema, { uuid, partition });
  }

  #write(uuid: string, machine: MachineObserved): Promise<void> {
    const { outbox, clock } = this.#ports;
    const value = toBinary(MachineObservedSchema, machine);
    return outbox.put({ kind: "machine", id: uuid, value, seenMs: clock.wallMs() }, [{ table, key: uuid, value }]);
  }

  #show(uuid: string, machine: MachineObserved): void {
    for (const mac of macsOf(this.#machines.get(uuid))) {
      const owners = this.#byMac.get(mac);
      owners?.delete(uuid);
      if (owners?.size === 0) this.#byMac.delete(mac);
    }
    for (const mac of macsOf(machine)) this.#byMac.set(mac, (this.#byMac.get(mac) ?? new Set()).add(uuid));
    this.#machines.set(uuid, machine);
  }
}

const macsOf = (machine: MachineObserved | undefined): readonly string[] =>
  (machine?.hardware?.nics ?? []).map((nic) => nic.mac.toLowerCase());
