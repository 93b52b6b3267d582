// The calls that people and an agent make, with what they know without asking.
import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { aWaiting, type ObservedInit } from "#central/testing/machines.ts";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ConsolePasswordSchema } from "#gen/holdfast/state/v1/secret_pb.ts";
import { type ReportEntry, SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { bug } from "#lib/bug.ts";
import { keyHeader, replayedHeader } from "#lib/rpc/idempotency-key.ts";
import type { House } from "./house.ts";
import type { Killable } from "./killable.ts";

export type Headers = Readonly<Record<string, string>>;

/** What an agent remembers over the lives of central. */
export interface AgentMemory {
  sequence: bigint;
  /** By uuid. */
  readonly epochs: Map<string, bigint>;
}

export interface Created {
  readonly id: string;
  /** Whether it was said that the answer is an old one. */
  readonly isOld: boolean;
}

type Entry = Omit<ReportEntry, "sequence" | "$typeName">;

export class Hands {
  readonly #house: House;
  readonly #central: Killable;
  readonly #agent: AgentMemory;

  constructor(house: House, central: Killable, agent: AgentMemory) {
    this.#house = house;
    this.#central = central;
    this.#agent = agent;
  }

  async createMachine(key: string, headers: Headers = {}): Promise<Created> {
    const { project, network } = this.#house;
    const wanted = {
      project,
      name: "web",
      image: "debian-13",
      partition: "lab",
      size: "small",
      networks: [{ network }],
    };
    const client = this.#people(MachineService, { ...headers, [keyHeader]: key });
    const made = await created(async (options) => (await client.create(wanted, options)).machine?.uuid);
    if (!made.isOld) this.#rise(made.id);
    return made;
  }

  async deleteMachine(uuid: string, headers?: Headers): Promise<void> {
    await this.#people(MachineService, headers).delete({ uuid, project: this.#house.project });
    this.#rise(uuid);
  }

  #rise(uuid: string): void {
    this.#agent.epochs.set(uuid, this.#epoch(uuid) + 1n);
  }

  #epoch(uuid: string): bigint {
    return this.#agent.epochs.get(uuid) ?? bug(`machine ${uuid} has never been seen`);
  }

  async machines(): Promise<string[]> {
    const { machines } = await this.#people(MachineService).list({ project: this.#house.project });
    return machines.map((m) => m.uuid);
  }

  async createNetwork(key: string, headers: Headers = {}): Promise<Created> {
    const client = this.#people(NetworkService, { ...headers, [keyHeader]: key });
    const wanted = { project: this.#house.project, partition: "lab" };
    return created(async (options) => (await client.create(wanted, options)).network?.id);
  }

  async deleteNetwork(id: string, headers?: Headers): Promise<void> {
    await this.#people(NetworkService, headers).delete({ id, project: this.#house.project });
  }

  /** The agent has read back that the port is isolated, and the machine is wiped. */
  async isolate(uuid: string, headers?: Headers): Promise<void> {
    this.#agent.sequence++;
    await this.isolateAgain(uuid, headers);
  }

  /** The same, told once more. */
  async isolateAgain(uuid: string, headers?: Headers): Promise<void> {
    const epoch = this.#epoch(uuid);
    const seen: ObservedInit = { ...aWaiting(uuid), epoch, wipedEpoch: epoch, isolatedEpoch: epoch };
    const value = toBinary(MachineObservedSchema, create(MachineObservedSchema, seen));
    await this.#report({ kind: "machine", id: uuid, value }, headers);
  }

  async tellPassword(uuid: string): Promise<void> {
    this.#agent.sequence++;
    const given = create(ConsolePasswordSchema, { uuid, epoch: this.#epoch(uuid), password: "once upon a time" });
    await this.#report({ kind: "console-password", id: uuid, value: toBinary(ConsolePasswordSchema, given) });
  }

  async #report(entry: Entry, headers?: Headers): Promise<void> {
    const { sequence } = this.#agent;
    const sync = this.#central.client(SyncService, this.#house.agentToken, headers);
    const { acknowledged, rejected } = await sync.report({
      partition: "lab",
      outbox: "crash",
      entries: [{ sequence, ...entry }],
    });
    assert.deepEqual([acknowledged, rejected], [sequence, []]);
  }

  #people<S extends typeof MachineService | typeof NetworkService>(service: S, headers?: Headers) {
    return this.#central.client<S>(service, this.#house.adminToken, headers);
  }
}

async function created(call: (options: CallOptions) => Promise<string | undefined>): Promise<Created> {
  let isOld = false;
  const onHeader = (given: globalThis.Headers) => {
    isOld = given.get(replayedHeader) === "true";
  };
  return { id: (await call({ onHeader })) ?? "", isOld };
}

/** As a person does who does not know whether it was done: who hears that it is not there is content. */
export async function unlessGone(deletion: Promise<void>): Promise<"done" | "gone"> {
  try {
    await deletion;
    return "done";
  } catch (error) {
    assert.ok(error instanceof ConnectError && error.code === Code.NotFound, String(error));
    return "gone";
  }
}
