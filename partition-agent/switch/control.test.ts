import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Mac } from "#lib/net/mac.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { macA, macB, uuidA, uuidB } from "../testing/site.ts";
import { type SwitchNames, switchControl } from "./control.ts";
import type { SwitchDriver, SwitchEdit, SwitchPort } from "./switch.ts";

const names: SwitchNames = {
  toSwitch: (network) =>
    ({ provisioning: { name: "br-prov", gateways: [] }, tenant: { name: "hf7", gateways: ["10.1.0.1/24"] } })[network],
  fromSwitch: (name) => ({ "br-prov": "provisioning", hf7: "tenant" })[name] ?? name,
};
const owners: Readonly<Record<string, string>> = { [macA]: uuidA, [macB]: uuidB };

const port = (name: string, network: string | undefined, ...learnedMacs: Mac[]): SwitchPort => ({
  name,
  network,
  enabled: true,
  up: true,
  mac: "02:ff:00:00:00:01" as Mac, // the port's own, of no meaning here
  learnedMacs,
});

function control(ports: SwitchPort[], change: Partial<SwitchDriver> = {}) {
  const applied: SwitchEdit[] = [];
  const driver: SwitchDriver = {
    read: async () => ({ id: "leaf1", ports, networks: [{ name: "br-prov", gateways: [] }] }),
    async apply(edits) {
      applied.push(...edits);
      for (const edit of edits) {
        const at = ports.findIndex((p) => edit.kind === "move-port" && p.name === edit.port);
        const before = ports[at];
        if (before && edit.kind === "move-port") ports[at] = { ...before, network: edit.network };
      }
    },
    ...change,
  };
  return { applied, control: switchControl(driver, names, (mac) => owners[mac], new VirtualClock()) };
}

const machine = (known?: string, neighbor?: string) =>
  create(MachineObservedSchema, {
    uuid: uuidA,
    hardware: {
      nics: [{ mac: macA, neighbors: neighbor === undefined ? [] : [{ hostname: "leaf1", name: neighbor }] }],
    },
    ...(known !== undefined && { port: { switch: "leaf1", port: known } }),
  });

const { signal } = new AbortController();

test("a machine is where its address was learned, else where it heard the switch, else where it was last", async () => {
  const at = (name: string) => ({ kind: "at", switch: "leaf1", port: name, network: "provisioning" });
  const learned = control([port("p1", "br-prov"), port("p2", "br-prov", macA), port("p3", "br-prov")]).control;
  assert.deepEqual(await learned.locate(machine("p1", "p3"), signal), at("p2"));
  const silent = control([port("p1", "br-prov"), port("p2", "br-prov"), port("p3", "br-prov")]).control;
  assert.deepEqual(await silent.locate(machine("p1", "p3"), signal), at("p3"));
  assert.deepEqual(await silent.locate(machine("p1"), signal), at("p1"));
  assert.deepEqual(await silent.locate(machine(), signal), {
    kind: "unknown",
    why: "switch leaf1 has not seen the machine on any port",
  });
});

test("same MAC seen behind two ports: a cabling conflict, and nobody's port is touched for it", async () => {
  const { control: c } = control([port("p1", "br-prov", macA), port("p2", "hf7", macA)]);
  assert.deepEqual(await c.locate(machine("p1"), signal), {
    kind: "unknown",
    why: `switch leaf1 sees MAC ${macA} behind several ports: p1, p2`,
  });
});

test("a port where another machine is now is not taken for the place where this one was", async () => {
  const { control: c } = control([port("p1", "hf7", macB)]);
  assert.deepEqual(await c.locate(machine("p1"), signal), {
    kind: "unknown",
    why: `port p1 of switch leaf1, where the machine was last, is machine ${uuidB}'s now`,
  });
  const guest = "02:aa:00:00:00:01" as Mac; // of a virtual machine on it
  const own = control([port("p1", "hf7", guest)]).control;
  assert.equal((await own.locate(machine("p1"), signal)).kind, "at");
});

test("unreachable vs unknown: a switch that does not answer is the reason, and no place", async () => {
  const read = () => Promise.reject(new Error("switch leaf1 does not answer"));
  assert.deepEqual(await control([], { read }).control.locate(machine("p1"), signal), {
    kind: "unknown",
    why: "switch leaf1 does not answer",
  });
});

test("a move is read back, and one that did not happen is an error", async () => {
  const ports = [port("p1", "br-prov", macA)];
  const { control: c } = control(ports);
  await c.move("p1", "tenant", signal);
  assert.equal(ports[0]?.network, "hf7");
  const lying = control([port("p1", "br-prov", macA)], { apply: async () => {} }).control;
  await assert.rejects(lying.move("p1", "tenant", signal), /port p1 is in br-prov after it was moved to hf7/);
});

test("a network that central has not told of yet is named", async () => {
  const { control: c, applied } = control([port("p1", "br-prov", macA)]);
  await assert.rejects(c.move("p1", "other", signal), /network other is not known here yet: nothing has come from/);
  assert.deepEqual(applied, []);
});
