// What the agent gave away by itself and central has not adopted yet. One writer: this agent.
// Invariant: what is here is durable, together with its entry in the outbox, and so it is told before anything that builds on it.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Locals } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { type KeptAnswer, KeptAnswerSchema } from "#gen/holdfast/state/v1/answer_pb.ts";
import {
  type BudgetUse,
  BudgetUseSchema,
  type LocalAnswer,
  type LocalIp,
  LocalIpSchema,
  type LocalMachine,
  LocalMachineSchema,
  type LocalNetwork,
  LocalNetworkSchema,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import { equalBytes } from "#lib/bytes.ts";
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import { isKept } from "#lib/rpc/idempotency-key.ts";
import type { Outbox } from "../outbox/outbox.ts";

const machineTable = "local-machine";
const ipTable = "local-ip";
const networkTable = "local-network";
const answerTable = "kept-answer";
const useTable = "budget-use";

type LocalKind = typeof machineTable | typeof ipTable | typeof networkTable | typeof useTable;

interface LocalPorts {
  readonly disk: Disk;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Log;
}

export class LocalRecords {
  readonly #ports: LocalPorts;
  readonly #machines = new Map<string, LocalMachine>();
  /** By `keyOf`. */
  readonly #ips = new Map<string, LocalIp>();
  /** By the network's id. */
  readonly #networks = new Map<string, LocalNetwork>();
  readonly #answers = new Map<string, KeptAnswer>();

  constructor(ports: LocalPorts) {
    this.#ports = ports;
    this.#load(machineTable, LocalMachineSchema, this.#machines);
    this.#load(ipTable, LocalIpSchema, this.#ips);
    this.#load(networkTable, LocalNetworkSchema, this.#networks);
    this.#load(answerTable, KeptAnswerSchema, this.#answers);
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

  network(id: string): LocalNetwork | undefined {
    return this.#networks.get(id);
  }

  networks(): readonly LocalNetwork[] {
    return [...this.#networks.values()];
  }

  all(): Locals {
    return { machines: this.machines(), ips: this.ips(), networks: this.networks() };
  }

  /** What the call that made something was answered, also when central has adopted that. */
  answer(id: string): KeptAnswer | undefined {
    const kept = this.#answers.get(id);
    return kept && isKept(kept, this.#ports.clock.wallMs()) ? kept : undefined;
  }

  /** How many are kept. */
  get answers(): number {
    return this.#answers.size;
  }

  /** Resolves when it is durable. */
  async putMachine(local: LocalMachine): Promise<void> {
    await this.#put("local-machine", local.uuid, toBinary(LocalMachineSchema, local), local.answer);
    this.#machines.set(local.uuid, local);
  }

  async putIp(local: LocalIp): Promise<void> {
    await this.#put("local-ip", keyOf(local), toBinary(LocalIpSchema, local), local.answer);
    this.#ips.set(keyOf(local), local);
  }

  async putNetwork(local: LocalNetwork): Promise<void> {
    const { id = "" } = local.network ?? {};
    await this.#put("local-network", id, toBinary(LocalNetworkSchema, local), local.answer);
    this.#networks.set(id, local);
  }

  /** Nothing is written when central was told the same already. */
  async putUse(use: BudgetUse): Promise<void> {
    const value = toBinary(BudgetUseSchema, use);
    const told = this.#ports.disk.get(useTable, use.budget);
    if (!told || !equalBytes(told, value)) await this.#put("budget-use", use.budget, value);
  }

  /** Forgets what central knows by now. */
  async forget(known: Locals): Promise<void> {
    const machines = known.machines.map(({ uuid }) => uuid);
    const ips = [...this.#ips].flatMap(([key, local]) => (known.ips.includes(local) ? [key] : []));
    const networks = known.networks.map(({ network }) => network?.id ?? "");
    if (machines.length + ips.length + networks.length === 0) return;
    await this.#ports.disk.write([
      ...machines.map((key) => ({ table: machineTable, key, value: undefined })),
      ...ips.map((key) => ({ table: ipTable, key, value: undefined })),
      ...networks.map((key) => ({ table: networkTable, key, value: undefined })),
    ]);
    for (const uuid of machines) this.#machines.delete(uuid);
    for (const key of ips) this.#ips.delete(key);
    for (const id of networks) this.#networks.delete(id);
  }

  /** Everything once more, for a central that may have forgotten what it had acknowledged. */
  async tellAll(): Promise<void> {
    // Before what is in them.
    for (const local of this.networks()) await this.putNetwork(local);
    for (const local of this.machines()) await this.putMachine(local);
    for (const local of this.ips()) await this.putIp(local);
    for (const [id, value] of this.#ports.disk.entries(useTable)) await this.#put("budget-use", id, value);
  }

  async #put(table: LocalKind, key: string, value: Uint8Array, answer?: LocalAnswer): Promise<void> {
    const { outbox, clock } = this.#ports;
    const nowMs = clock.wallMs();
    const over = [...this.#answers].flatMap(([id, kept]) => (isKept(kept, nowMs) ? [] : [id]));
    const kept = answer?.answer && isKept(answer.answer, nowMs) ? answer.answer : undefined;
    await outbox.put({ kind: table, id: key, value, seenMs: nowMs }, [
      { table, key, value },
      ...over.map((id) => ({ table: answerTable, key: id, value: undefined })),
      ...(answer && kept ? [{ table: answerTable, key: answer.id, value: toBinary(KeptAnswerSchema, kept) }] : []),
    ]);
    for (const id of over) this.#answers.delete(id);
    if (answer && kept) this.#answers.set(answer.id, kept);
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

/** Addresses are unique within a namespace. Without one the key is the address alone, as it was before there were namespaces here. */
function keyOf({ ip }: LocalIp): string {
  const { namespace, ip: address = "" } = ip ?? {};
  return namespace === undefined ? address : ipId(namespace, address);
}
