import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { InfraRole, MachineRole } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  MachineProvisioningEventType as Event,
  MachineIssueType,
  MachineLiveliness,
  MachineService,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { silentLog as log } from "#lib/log.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { first, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { until } from "../testing/until.ts";
import { keepLiveliness } from "./keep-liveliness.ts";

const uuid = machineUuid(1);
const minute = 60_000;

let central: MachineCentral;
let stop: AbortController;
beforeEach(async () => {
  // Over etcd, hours of the test's clock would pass within one commit.
  central = await machineCentral(new MemoryStore({ clock: new VirtualClock(), random: new Seeded(1) }));
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await central.close();
});

const admin = () => central.client(AdminMachineService);
const infra = async () => await central.tokenFor("daemons", { infraRole: InfraRole.EDITOR });
const liveliness = () => central.state.get(kinds.machineObserved, uuid)?.value.liveliness;
const is = (wanted: keyof typeof MachineLiveliness) =>
  until(`liveliness ${wanted}`, () => liveliness() === MachineLiveliness[wanted]);
const say = async (event: Event) => central.client(EventService, await infra()).send({ events: { [uuid]: { event } } });

let looks = 0;

/** With all of the keeper's looks in between. */
async function passes(minutes: number): Promise<void> {
  for (let left = minutes * minute; left > 0; left -= minute / 2) {
    const before = looks;
    central.clock.advance(minute / 2);
    await until("the keeper has looked", () => looks > before);
  }
}

const keep = () => {
  const { state, random } = central;
  const clock: Clock = {
    monotonicMs: () => central.clock.monotonicMs(),
    wallMs: () => central.clock.wallMs(),
    sleep(ms, signal) {
      looks++;
      return central.clock.sleep(ms, signal);
    },
  };
  keepLiveliness({ state, clock, random, log }, stop.signal).catch(assert.fail);
};

/** Registers at central, and waits there. @returns the allocation that it gets */
async function waits() {
  const client = central.client(
    BootService,
    await central.tokenFor("installer", { machineRoles: { [uuid]: MachineRole.EDITOR } }),
  );
  const hardware = {
    memory: 1n,
    cpus: [{ model: "any", cores: 2 }],
    nics: [{ mac: "52:54:00:00:00:01", name: "eth0" }],
  };
  await client.register({ uuid, partition: "lab", hardware });
  await say(Event.WAITING);
  const allocation = first(client.wait({ uuid }, { signal: stop.signal }), 1);
  allocation.catch(() => undefined);
  await until("it waits", () => central.state.get(kinds.machineObserved, uuid)?.value.waiting === true);
  return { allocation };
}

test("a machine that falls silent is dead: it is not given away, it is an issue, and it can be forgotten", async () => {
  keep();
  await waits();
  await passes(4);
  await say(Event.ALIVE);
  await passes(4.5);
  assert.equal(liveliness(), MachineLiveliness.ALIVE, "it spoke less than five minutes ago");
  await passes(1);
  await is("DEAD");
  await assert.rejects(central.create(), refusedWith(Code.ResourceExhausted, /of 1 machines 1 not alive/));
  const { issues } = await admin().issues({ query: { only: [MachineIssueType.LIVELINESS_DEAD] } });
  assert.deepEqual(
    issues.map((m) => m.uuid),
    [uuid],
  );
  assert.equal((await admin().get({ uuid })).machine?.status?.liveliness, MachineLiveliness.DEAD);
  await admin().delete({ uuid });
});

test("one that speaks again is alive and can be had; one in use is unknown, and dead once it is released", async () => {
  keep();
  const { allocation } = await waits();
  await passes(6);
  await is("DEAD");
  await say(Event.ALIVE);
  await is("ALIVE");
  await central.create();
  await allocation;
  await passes(6);
  await is("UNKNOWN");
  await central.client(MachineService).delete({ uuid, project: central.project });
  await passes(1);
  await is("DEAD");
});

test("a central that has just come knows of nobody that he is silent", async () => {
  await waits();
  central.clock.advance(20 * minute);
  keep();
  await passes(4.5);
  assert.equal(liveliness(), MachineLiveliness.ALIVE);
  await passes(1);
  await is("DEAD");
});

test("where an agent has reported, it alone says who is alive", async () => {
  keep();
  await central.waiting(1);
  await passes(20);
  assert.equal(liveliness(), MachineLiveliness.ALIVE);
});
