// The calls in which central is killed: from where each begins, what may be found after it, and how whoever made it goes on. Each
// begins and ends with no machine given away and no network made.
import assert from "node:assert/strict";
import { uniqueNameHeader } from "#lib/rpc/unique-name.ts";
import type { Hands, Headers } from "./hands.ts";
import { unlessGone } from "./hands.ts";
import type { Standing } from "./standing.ts";

export interface Deed {
  readonly name: string;
  /** Such as /metalstack.api.v2.MachineService/Create. */
  readonly method: string;
  /** Whether its answer is kept under a key. */
  readonly isKeyed: boolean;
  /** @returns id of what the call is about; empty when it makes that */
  prepare(hands: Hands, key: string): Promise<string>;
  call(hands: Hands, about: About, headers: Headers): Promise<unknown>;
  /** What may be found when it was not done, and when it was. */
  readonly before: string;
  readonly after: string;
  /** What may be found between, where it is more than one commit. */
  readonly between?: string;
  /** Whoever made the call makes it again, in another life of central, and has what they wanted, once. Then they give it back. */
  again(hands: Hands, about: About, found: Standing): Promise<void>;
}

/** A call's idempotency key, and id of what it is about. */
export interface About {
  readonly key: string;
  readonly id: string;
}

export const inWords = ({ machine, name, network }: Standing): string =>
  [
    machine === "free" ? "" : `machine ${machine}`,
    name === "free" ? "" : `name ${name}`,
    network === "none" ? "" : `network ${network}`,
  ]
    .filter(Boolean)
    .join(", ") || "nothing";

/** @param headers of each call */
const creation = (headers: Headers = {}): Omit<Deed, "name" | "after"> => ({
  method: "/metalstack.api.v2.MachineService/Create",
  isKeyed: true,
  prepare: async () => "",
  call: (hands, { key }, more) => hands.createMachine(key, { ...headers, ...more }),
  before: "nothing",
  async again(hands, { key }, { desired }) {
    const { id, isOld } = await hands.createMachine(key, headers);
    assert.equal(isOld, desired !== undefined);
    if (desired) assert.equal(id, desired.uuid);
    assert.deepEqual(await hands.machines(), [id]);
    await hands.deleteMachine(id);
    await hands.isolate(id);
  },
});

const createMachine: Deed = { ...creation(), name: "create a machine", after: "machine allocated" };

const named = { [uniqueNameHeader]: "true" };

const createNamedMachine: Deed = {
  ...creation(named),
  name: "create a machine with a unique name",
  between: "name announced",
  after: "machine allocated, name held",
};

const deleteMachine: Deed = {
  name: "delete a machine",
  method: "/metalstack.api.v2.MachineService/Delete",
  isKeyed: false,
  async prepare(hands, key) {
    const { id } = await hands.createMachine(key, named);
    await hands.tellPassword(id);
    return id;
  },
  call: (hands, { id }, headers) => hands.deleteMachine(id, headers),
  before: "machine allocated, name held",
  after: "machine released",
  async again(hands, { id }, { machine }) {
    assert.equal(await unlessGone(hands.deleteMachine(id)), machine === "released" ? "gone" : "done");
    await hands.isolate(id);
  },
};

const isolateMachine: Deed = {
  name: "report a machine isolated",
  method: "/holdfast.sync.v1.SyncService/Report",
  isKeyed: false,
  async prepare(hands, key) {
    const { id } = await hands.createMachine(key, named);
    await hands.deleteMachine(id);
    return id;
  },
  call: (hands, { id }, headers) => hands.isolate(id, headers),
  before: "machine released",
  after: "nothing",
  again: (hands, { id }) => hands.isolateAgain(id),
};

const createNetwork: Deed = {
  name: "create a network",
  method: "/metalstack.api.v2.NetworkService/Create",
  isKeyed: true,
  prepare: async () => "",
  call: (hands, { key }, headers) => hands.createNetwork(key, headers),
  before: "nothing",
  after: "network there",
  async again(hands, { key }, { child }) {
    const { id, isOld } = await hands.createNetwork(key);
    assert.equal(isOld, child !== undefined);
    if (child) assert.equal(id, child.id);
    await hands.deleteNetwork(id);
  },
};

const deleteNetwork: Deed = {
  name: "delete a network",
  method: "/metalstack.api.v2.NetworkService/Delete",
  isKeyed: false,
  prepare: async (hands, key) => (await hands.createNetwork(key)).id,
  call: (hands, { id }, headers) => hands.deleteNetwork(id, headers),
  before: "network there",
  between: "network being deleted",
  after: "nothing",
  async again(hands, { id }, { network }) {
    assert.equal(await unlessGone(hands.deleteNetwork(id)), network === "none" ? "gone" : "done");
  },
};

export const deeds = { createMachine, createNamedMachine, deleteMachine, isolateMachine, createNetwork, deleteNetwork };
