// What the agent gave away by itself and central has not adopted yet. One writer: this agent.
// Invariant: what is here is durable, together with its entry in the outbox, and so it is told before anything that builds on it.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  type BudgetUse,
  BudgetUseSchema,
  type LocalIp,
  LocalIpSchema,
  type LocalMachine,
  LocalMachineSchema,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import { equalBytes } from "#lib/bytes.ts";
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { Outbox } from "../outbox/outbox.ts";

const machineTable = "local-machine";
const ipTable = "local-ip";
const useTable = "budget-use";

interface LocalPorts {
  readonly disk: Disk;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Log;
}

export class LocalRecords {
  readonly #ports: LocalPorts;
  readonly #machines = new Map<string, LocalMachine>();
  /** By address. */
  readonly #ips = new Map<string, LocalIp>();

  constructor(ports: LocalPorts) {
    this.#ports = ports;
    this.#load(machineTable, LocalMachineSchema, this.#machines);
    this.#load(ipTable, LocalIpSchema, this.#ips);
  }

  machine(uuid: string): LocalMachine | undefined {
    return this.#machines.get(uuid);
  }

  machines(): readonly LocalMachine[] {
    return [...this.#machines.values()];
  }

  ips(): readonly LocalIp[] {
    return [...this.#ips.values()];
  }

  /** Resolves when it is durable. */
  async putMachine(local: LocalMachine): Promise<void> {
    await this.#put("local-machine", local.uuid, toBinary(LocalMachineSchema, local));
    this.#machines.set(local.uuid, local);
  }

  async putIp(local: LocalIp): Promise<void> {
    const { ip = "" } = local.ip ?? {};
    await this.#put("local-ip", ip, toBinary(LocalIpSchema, local));
    this.#ips.set(ip, local);
  }

  /** Nothing is written when central was told the same already. */
  async putUse(use: BudgetUse): Promise<void> {
    const value = toBinary(BudgetUseSchema, use);
    const told = this.#ports.disk.get(useTable, use.budget);
    if (!told || !equalBytes(told, value)) await this.#put("budget-use", use.budget, value);
  }

  /** Forgets what central knows by now. */
  async forget(machines: readonly string[], ips: readonly string[]): Promise<void> {
    if (machines.length + ips.length === 0) return;
    await this.#ports.disk.write([
      ...machines.map((key) => ({ table: machineTable, key, value: undefined })),
      ...ips.map((key) => ({ table: ipTable, key, value: undefined })),
    ]);
    for (const uuid of machines) this.#machines.delete(uuid);
    for (const ip of ips) this.#ips.delete(ip);
  }

  /** Everything once more, for a central that may have forgotten what it had acknowledged. */
  async tellAll(): Promise<void> {
    for (const local of this.machines()) await this.putMachine(local);
    for (const local of this.ips()) await this.putIp(local);
    for (const [id, value] of this.#ports.disk.entries(useTable)) await this.#put("budget-use", id, value);
  }

  async #put(table: "local-machine" | "local-ip" | "budget-use", key: string, value: Uint8Array): Promise<void> {
    const { outbox, clock } = this.#ports;
    await outbox.put({ kind: table, id: key, value, seenMs: clock.wallMs() }, [{ table, key, value }]);
  }

  #load<S extends DescMessage>(table: string, schema: S, into: Map<string, MessageShape<S>>): void {
    for (const [key, bytes] of this.#ports.disk.entries(table)) {
      try {
        into.set(key, fromBinary(schema, bytes));
      } catch (error) {
        this.#ports.log.error("local-record-damaged", { table, key, error });
      }
    }
  }
}
