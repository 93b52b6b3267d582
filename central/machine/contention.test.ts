// Four centrals over one store give away the same machines at the same time.
import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { firstDesired } from "#domain/machine/first-desired.ts";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService, MachineServiceCreateRequestSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState, type State } from "../store/state.ts";
import { CentralSession } from "../sync/central-session.ts";
import { aWaiting, machineCentral, machineUuid } from "../testing/machines.ts";
import { creator } from "./creator.ts";

const centrals = 4;
const atOnce = 64;
const machines = 200;

test("64 at once at four centrals: every machine once, nobody is refused while there is one, and then all are", async () => {
  const store = new MemoryStore({ clock, random });
  const seeding = await machineCentral(store);
  const { project, network } = seeding;
  for (let n = 1; n <= machines; n++) {
    const uuid = machineUuid(n);
    const observed = create(MachineObservedSchema, { ...aWaiting(uuid), partition: "lab", rack: `rack${n % 4}` });
    await seeding.state.transact((tx) => {
      tx.put(kinds.machineObserved, uuid, observed);
      tx.put(
        kinds.machineDesired,
        uuid,
        firstDesired({ ...observed, epoch: 0n, wipedEpoch: 0n, isolatedEpoch: 0n }, 1),
      );
    });
  }
  // The images expire by that clock.
  const nowMs = seeding.clock.wallMs();
  await seeding.close();
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const states: State[] = [];
  for (let i = 0; i < centrals; i++) states.push(await openState({ store, clock, random, log }, stop.signal));
  const sessions = states.map((state) => new CentralSession({ state, clock, random, version: "test" }));
  for (const session of sessions) await session.hold();
  const creators = states.map((state, i) =>
    creator({ state, clock: { ...clock, wallMs: () => nowMs }, random, session: sessions[i]! }),
  );
  const request = create(MachineServiceCreateRequestSchema, {
    project,
    name: "web",
    image: "debian-13",
    partition: "lab",
    size: "small",
    networks: [{ network }],
  });
  let asked = 0;
  const made: string[] = [];
  const refused: unknown[] = [];
  const worker = async (w: number) => {
    while (asked++ < machines + centrals) {
      try {
        made.push(
          (await creators[w % centrals]!(request, { cause: { actor: "ann", method: "", reason: "" }, keep: () => {} }))
            .uuid,
        );
      } catch (error) {
        refused.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, w) => worker(w)));
  const allocations = states[0]!.list(kinds.machineDesired).flatMap((m) => m.value.allocation ?? []);
  stop.abort();
  for (const state of states) await state.close();
  await store.close();
  assert.equal(new Set(made).size, machines);
  assert.deepEqual(
    refused.map((e) => (e instanceof Refusal ? e.reason : String(e))),
    Array.from({ length: centrals }, () => "NO_MACHINE"),
  );
  const of = (what: (a: (typeof allocations)[number]) => unknown) => new Set(allocations.map(what)).size;
  assert.deepEqual(
    [of((a) => a.uuid), of((a) => a.networks[0]?.ips[0]), of((a) => a.networks[0]?.asn)],
    [machines, machines, machines],
  );
});

test("an address that is tied to a machine while that is released comes back with the others", async () => {
  const central = await machineCentral();
  const { project, network } = central;
  await central.waiting(1);
  const { machine } = await central.create();
  const { uuid = "" } = machine ?? {};
  const ips = central.client(IPService);
  const [tied] = await Promise.all([
    ips.create({ project, network, machine: uuid }),
    central.client(MachineService).delete({ uuid, project }),
  ]);
  const { epoch, release } = central.desired(uuid);
  assert.ok(!release?.ips.includes(`/${tied.ip?.ip}`), "the release was decided before it was tied");
  await central.report({ ...aWaiting(uuid), epoch, wipedEpoch: epoch, isolatedEpoch: epoch });
  assert.deepEqual([central.desired(uuid).release, central.state.list(kinds.ip)], [undefined, []]);
  await central.close();
});
