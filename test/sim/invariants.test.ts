// What looks on must see what it is there for: each of these breaks what must hold, or comes as near to it as is allowed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { MachineProvisioningEventType as Event, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Change } from "#lib/disk.ts";
import { AppliedByAgent } from "./applied.ts";
import { Boots } from "./boots.ts";
import { Effects } from "./effects.ts";
import type { Judge } from "./judge.ts";
import { Secrets, secretOf } from "./secrets.ts";
import type { Seen } from "./seen.ts";

/** @param seen as much of the world as is looked at */
function judged(seen: Partial<Seen> = {}) {
  const failed: string[] = [];
  const judge: Judge = {
    seen: seen as Seen, // what is not given is not asked for
    checked: () => {},
    fail: (number, what) => failed.push(`${number}: ${what}`),
  };
  return { judge, failed };
}

test("an order is carried out until its deadline, and refused for that only after it", () => {
  const { judge, failed } = judged();
  const effects = new Effects(judge);
  effects.onOrder("in time", 0);
  effects.onRefusedOrder("too late", -1);
  assert.deepEqual(failed, []);
  effects.onOrder("late", 1);
  effects.onRefusedOrder("early", 1);
  assert.deepEqual(failed, [
    "9: order late is carried out 1 ms after its deadline",
    "9: order early is refused 1 ms before its deadline",
  ]);
});

describe("what an agent has applied", () => {
  const row = (key: string, revision: number, table = "ledger"): Change => {
    const [kind = "", id = ""] = key.split("/");
    return {
      table,
      key,
      value: toBinary(DesiredItemSchema, create(DesiredItemSchema, { kind, id, revision: BigInt(revision) })),
    };
  };
  const gone = (key: string): Change => ({ table: "ledger", key, value: undefined });
  const cursor = (revision: number, { history = "h", table = "ledger" } = {}): Change => ({
    table: "ledger-cursor",
    key: "cursor",
    value: new TextEncoder().encode(`${revision} ${history} ${table}`),
  });
  const begun = () => {
    const { judge, failed } = judged();
    const applied = new AppliedByAgent("p1", judge, () => {});
    applied.onWrite([row("size/a", 3), row("size/b", 4), cursor(5)]);
    return { applied, failed };
  };

  test("goes on with newer revisions, in the same set or in another one", () => {
    const { applied, failed } = begun();
    applied.onWrite([row("size/a", 6), cursor(6)]);
    applied.onWrite([row("size/a", 6, "ledger-2"), row("size/b", 7, "ledger-2")]);
    applied.onWrite([cursor(7, { table: "ledger-2" })]);
    assert.deepEqual(failed, []);
  });

  test("never goes back, be it all of it or one thing", () => {
    const { applied, failed } = begun();
    applied.onWrite([cursor(4)]);
    applied.onWrite([row("size/b", 3), cursor(6)]);
    assert.match(failed.join(), /from revision 5 back to 4.*size\/b went from 4 back to 3/);
  });

  test("stays deleted once it was, whether a change said so or a whole set", () => {
    const { applied, failed } = begun();
    applied.onWrite([gone("size/a"), cursor(6)]);
    applied.onWrite([row("size/c", 6, "ledger-2"), cursor(7, { table: "ledger-2" })]);
    assert.deepEqual(failed, []);
    applied.onWrite([row("size/a", 5, "ledger-2"), row("size/b", 7, "ledger-2"), cursor(8, { table: "ledger-2" })]);
    assert.match(failed.join(), /size\/a of revision 5 is back, which was deleted by 6.*size\/b of revision 7 is back/);
  });

  test("may come again where the disk has lost a row, was set back, or is told another history", () => {
    const { applied, failed } = begun();
    applied.onLoss("ledger", "size/a");
    applied.onWrite([row("size/a", 3, "ledger-2"), row("size/b", 4, "ledger-2"), cursor(5, { table: "ledger-2" })]);
    applied.onSetBack();
    applied.onWrite([row("size/a", 2), cursor(2)]);
    applied.onWrite([row("size/a", 1, "ledger-3"), cursor(1, { history: "restored", table: "ledger-3" })]);
    assert.deepEqual(failed, []);
  });
});

describe("a boot", () => {
  const minuteMs = 60_000;
  const seenAt = (nowMs: () => number) => judged({ nowMs, awakeSinceMs: () => 0 });
  const machine = (event: Event, liveliness: MachineLiveliness = MachineLiveliness.ALIVE) =>
    create(MachineObservedSchema, { uuid: "m", liveliness, events: { events: [{ event }] } });

  test("that goes from step to step and never ends is noticed", () => {
    let nowMs = 0;
    const { judge, failed } = seenAt(() => nowMs);
    const boots = new Boots(judge);
    for (; nowMs <= 46 * minuteMs; nowMs += minuteMs) {
      boots.onObserved("p1", machine(nowMs % (2 * minuteMs) === 0 ? Event.PXE_BOOTING : Event.PREPARING));
      boots.check();
    }
    assert.match(failed[0] ?? "", /13: machine m has come to no verdict for 46 min/);
  });

  for (const [what, end] of [
    ["waits", machine(Event.WAITING)],
    ["has crashed", machine(Event.CRASHED)],
    ["has fallen silent", machine(Event.INSTALLING, MachineLiveliness.UNKNOWN)],
  ] as const)
    test(`has come to its verdict when the machine ${what}`, () => {
      let nowMs = 0;
      const { judge, failed } = seenAt(() => nowMs);
      const boots = new Boots(judge);
      boots.onObserved("p1", machine(Event.INSTALLING));
      boots.onObserved("p1", end);
      nowMs = 100 * minuteMs;
      boots.check();
      assert.deepEqual(failed, []);
    });
});

describe("a secret", () => {
  test("is known in what people read, and in what another partition is told", () => {
    const { judge, failed } = judged();
    const secrets = new Secrets(judge);
    const told = (partition: string) => new TextEncoder().encode(`before ${secretOf(partition)} after`);
    secrets.onSaid("all is well");
    secrets.onTold("p1", told("p1"));
    assert.deepEqual(failed, []);
    secrets.onTold("p1", told("p2"));
    secrets.onSaid(`refused: ${secretOf("p1")}`);
    secrets.onSaid("token canary-0a1b");
    assert.equal(failed.length, 3);
  });
});
