// The rooms of domain/machine/spreading.test.ts, by the calls with which projects ask for machines.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Seeded } from "#lib/seeded.ts";
import { kinds } from "../store/kinds.ts";
import { type CreateInit, type MachineCentral, machineCentral } from "../testing/machines.ts";
import { fillRacks, type SeveralCentrals, severalCentrals } from "../testing/several-centrals.ts";

const perRack = 20;

/** Racks of 20 free machines each. */
async function room(racks: number): Promise<MachineCentral> {
  const central = await machineCentral();
  await fillRacks(central, racks, perRack);
  return central;
}

/** Of those that it holds for, how many each rack has. */
function countsOf(
  { state }: Pick<MachineCentral, "state">,
  racks: number,
  holds: (allocation: MachineAllocation) => boolean = () => true,
): readonly number[] {
  const counts = Array.from({ length: racks }, () => 0);
  for (const { id, value } of state.list(kinds.machineDesired)) {
    if (!value.allocation || !holds(value.allocation)) continue;
    const rack = Number(state.get(kinds.machineObserved, id)?.value.rack.slice("rack".length));
    counts[rack] = (counts[rack] ?? 0) + 1;
  }
  return counts;
}

const checkEven = (counts: readonly number[], what: string) =>
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${what}: ${counts.join(" ")}`);

/** So many ask at any time. */
async function ask(central: MachineCentral, wishes: readonly CreateInit[], atOnce: number): Promise<void> {
  const waiting = [...wishes];
  const asker = async () => {
    for (let wish = waiting.shift(); wish; wish = waiting.shift()) await central.create(wish);
  };
  await Promise.all(Array.from({ length: atOnce }, asker));
}

const times = <T>(count: number, one: () => T): T[] => Array.from({ length: count }, one);

for (const racks of [1, 4, 40])
  for (const atOnce of [1, 16]) {
    test(`one project in ${racks} racks is spread within one of the ideal whenever all are answered, ${atOnce} at once`, async (t) => {
      const central = await room(racks);
      t.after(() => central.close());
      for (let left = 3 * racks + 2; left > 0; left -= atOnce) {
        await ask(
          central,
          times(Math.min(left, atOnce), () => ({})),
          atOnce,
        );
        checkEven(countsOf(central, racks), `${left - atOnce} to come`);
      }
      await ask(
        central,
        times(4 * racks, () => ({})),
        atOnce,
      );
      checkEven(countsOf(central, racks), "all");
    });

    test(`two projects in ${racks} racks are each spread by themselves, ${atOnce} at once`, async (t) => {
      const central = await room(racks);
      t.after(() => central.close());
      const random = new Seeded(7);
      const project = await central.newProject("second");
      const theirs = { project, networks: [{ network: await central.childNetwork(project) }] };
      await ask(
        central,
        times(8 * racks, () => (random.chance(0.3) ? theirs : {})),
        atOnce,
      );
      for (const one of [central.project, project])
        checkEven(
          countsOf(central, racks, (a) => a.project === one),
          one,
        );
    });

    test(`machines with the same placement label keep apart in ${racks} racks, ${atOnce} at once`, async (t) => {
      const central = await room(racks);
      t.after(() => central.close());
      const random = new Seeded(11);
      const labelled = () => ({ placementLabels: { labels: { tier: random.chance(0.5) ? "db" : "web" } } });
      await ask(central, times(9 * racks, labelled), atOnce);
      for (const tier of ["db", "web"])
        checkEven(
          countsOf(central, racks, (a) => a.placementLabels?.labels.tier === tier),
          tier,
        );
    });
  }

const centrals = 4;

/** So many more at the centrals in turn. */
async function askSeveral({ createAt }: SeveralCentrals, count: number, atOnce: number): Promise<void> {
  const asker = async (first: number) => {
    for (let n = first; n < count; n += atOnce) await createAt(n % centrals);
  };
  await Promise.all(Array.from({ length: atOnce }, (_, n) => asker(n)));
}

// With more at once than two for each rack, they part each rack among them instead of meeting there.
for (const racks of [4, 10, 40])
  for (const atOnce of [4, 16, 64].filter((n) => n <= 2 * racks)) {
    test(`one project in ${racks} racks is spread within one of the ideal by four centrals, ${atOnce} at once`, async (t) => {
      const several = await severalCentrals(centrals, (central) => fillRacks(central, racks, perRack));
      t.after(() => several.close());
      for (const count of [atOnce, 1, racks - 1, 2 * racks + 1]) {
        await askSeveral(several, count, atOnce);
        checkEven(countsOf(several, racks), `after ${count} more`);
      }
    });
  }

test("four centrals that are asked for more at once than two for each rack come to within one when fewer are asked for", async (t) => {
  const several = await severalCentrals(centrals, (central) => fillRacks(central, 4, perRack));
  t.after(() => several.close());
  await askSeveral(several, 16, 16);
  await askSeveral(several, 33, 1);
  checkEven(countsOf(several, 4), "all");
});

test("machines with the same placement label keep apart in 10 racks by four centrals, 16 at once", async (t) => {
  const several = await severalCentrals(centrals, (central) => fillRacks(central, 10, perRack));
  t.after(() => several.close());
  const tiers = ["db", "web"];
  const asker = async (first: number) => {
    const placementLabels = { labels: { tier: tiers[first % 2]! } };
    for (let n = 0; n < 4; n++) await several.createAt((first >> 1) % centrals, { placementLabels });
  };
  await Promise.all(Array.from({ length: 16 }, (_, n) => asker(n)));
  for (const tier of tiers)
    checkEven(
      countsOf(several, 10, (a) => a.placementLabels?.labels.tier === tier),
      tier,
    );
});
