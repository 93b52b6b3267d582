// What the agent saw of each machine. One writer: this agent. Durable, together with its outbox entry, before anyone is told.
import { clone, create, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type MachineObserved, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { Outbox } from "../outbox/outbox.ts";

const table = "observed";

export interface ObservationsPorts {
  readonly partition: string;
  readonly disk: Disk;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after a change is durable. */
  readonly changed: (uuid: string) => void;
}

export class Observations {
  readonly #ports: ObservationsPorts;
  readonly #machines = new Map<string, MachineObserved>();

  constructor(ports: ObservationsPorts) {
    this.#ports = ports;
    for (const [uuid, bytes] of ports.disk.entries(table)) {
      try {
        this.#machines.set(uuid, fromBinary(MachineObservedSchema, bytes));
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

  /** The machine that has a network interface with this address. */
  byMac(mac: string): MachineObserved | undefined {
    return this.list().find((m) => m.hardware?.nics.some((nic) => nic.mac.toLowerCase() === mac));
  }

  /**
   * Changes what is known of a machine, from the present state; makes it known when it was not.
   * Resolves when the change is durable. A change that changes nothing writes nothing.
   */
  async update(uuid: string, change: (machine: MachineObserved) => void): Promise<MachineObserved> {
    const { partition, disk, outbox, clock, changed } = this.#ports;
    const before = this.#machines.get(uuid);
    const after = before ? clone(MachineObservedSchema, before) : create(MachineObservedSchema, { uuid, partition });
    change(after);
    if (before && equals(MachineObservedSchema, before, after)) return before;
    const value = toBinary(MachineObservedSchema, after);
    const report = outbox.prepare({ kind: "machine", id: uuid, value, seenMs: clock.wallMs() });
    // Set at once: the next change must start from this one, and disk writes keep the order.
    this.#machines.set(uuid, after);
    await disk.write([{ table, key: uuid, value }, ...report.changes]);
    report.done();
    changed(uuid);
    return after;
  }
}
