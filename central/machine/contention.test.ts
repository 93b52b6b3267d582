// Four centrals over one store give away the same machines at the same time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { type Kind, keyOf, kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import type { Commit } from "../store/store.ts";
import { aWaiting, machineCentral } from "../testing/machines.ts";
import { MeetingStore } from "../testing/meeting-store.ts";
import { fillRacks, severalCentrals } from "../testing/several-centrals.ts";

const centrals = 4;
const atOnce = 64;
const machines = 200;

test("64 at once at four centrals: every machine once, nobody is refused while there is one, and then all are", async () => {
  const several = await severalCentrals(centrals, (central) => fillRacks(central, 4, machines / 4));
  let asked = 0;
  const made: string[] = [];
  const refused: unknown[] = [];
  const worker = async (w: number) => {
    while (asked++ < machines + centrals) {
      try {
        made.push((await several.createAt(w % centrals)).uuid);
      } catch (error) {
        refused.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, w) => worker(w)));
  const allocations = several.state.list(kinds.machineDesired).flatMap((m) => m.value.allocation ?? []);
  await several.close();
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

test("an address that is tied to a machine while that is released comes back with the others", async (t) => {
  const store = new MeetingStore(new MemoryStore({ clock: new VirtualClock(), random: new Seeded(1) }));
  const central = await machineCentral(store);
  t.after(() => central.close());
  const { project, network } = central;
  await central.waiting(1);
  const { machine } = await central.create();
  const { uuid = "" } = machine ?? {};
  const writes = (kind: Kind) => (commit: Commit) => commit.puts.some(({ key }) => key.startsWith(keyOf(kind, "")));
  store.meet(writes(kinds.ip), writes(kinds.machineDesired));
  const [tied] = await Promise.all([
    central.client(IPService).create({ project, network, machine: uuid }),
    central.client(MachineService).delete({ uuid, project }),
  ]);
  const { epoch, release } = central.desired(uuid);
  assert.ok(!release?.ips.includes(`/${tied.ip?.ip}`), "the release was decided before it was tied");
  await central.report({ ...aWaiting(uuid), epoch, wipedEpoch: epoch, isolatedEpoch: epoch });
  assert.deepEqual([central.desired(uuid).release, central.state.list(kinds.ip)], [undefined, []]);
});
