import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { type Change, ChangeSchema } from "#gen/holdfast/state/v1/change_pb.ts";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog } from "#lib/log.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { project, setUp, until } from "../io/testing/state-rehearsal.ts";
import { testStore } from "../io/testing/test-store.ts";
import { kinds } from "../store/kinds.ts";
import { timeOfId } from "../store/retention.ts";
import { openState } from "../store/state.ts";
import { differences } from "./differences.ts";
import { keepChanges } from "./keep.ts";
import { at, isLeftOut, stepsOf } from "./past.ts";
import { changePut, formerBytesMax } from "./record.ts";
import { bytesKept, changeBytes, horizonOf, outlived } from "./retention.ts";

const cause = { actor: "ann", method: "/a.B/C", reason: "why not" };
const forever = { keepMs: 1e12, bytesMax: 1e12 };

describe("what a thing was like", () => {
  test("is known at every revision and every time, whatever was done, also by a state that is opened anew", async () => {
    const clock = new VirtualClock();
    const ports = { clock, random, log: silentLog };
    const { store, close } = testStore(ports);
    const stop = new AbortController();
    const state = await openState({ ...ports, store }, stop.signal);
    const keeping = keepChanges({ ...ports, state }, forever, stop.signal);
    while (horizonOf(state) === undefined) await new Promise(setImmediate);
    const drawn = new Seeded(7);
    const ids = ["a", "b", "c"];
    const seen: { revision: bigint; ms: number; values: (string | undefined)[] }[] = [];
    for (let n = 0; n < 60; n++) {
      const id = drawn.pick(ids);
      clock.advance(1_000);
      await state.transact((tx) => {
        if (drawn.chance(0.3)) tx.delete(kinds.project, id);
        else tx.put(kinds.project, id, project(`name-${n}`));
        if (drawn.chance(0.2)) tx.put(kinds.project, "a", project(`also-${n}`));
      }, cause);
      const values = ids.map((one) => state.get(kinds.project, one)?.value.name);
      seen.push({ revision: state.revision, ms: clock.wallMs(), values });
    }
    const again = await openState({ ...ports, store }, stop.signal);
    for (const from of [state, again]) {
      const steps = ids.map((id) => stepsOf(from, kinds.project, id));
      for (const { revision, ms, values } of seen) {
        for (const moment of [
          { case: "revision", value: revision },
          { case: "timeMs", value: ms },
        ] as const) {
          const was = ids.map((id, i) => nameOf(at(from, kinds.project, id, steps[i]!, moment).was as Message));
          assert.deepEqual(was, values, `${moment.case} ${moment.value}`);
        }
      }
      assert.ok(steps.flat().every(({ actor, method, reason }) => actor + method + reason === "ann/a.B/Cwhy not"));
    }
    stop.abort();
    await keeping;
    await again.close();
    await state.close();
    await close();
  });

  const nameOf = (value: Message | undefined) => value && (value as ReturnType<typeof project>).name;

  test("is left out when it was too long to be kept, and that is said", async (t) => {
    const { clock, open, signal } = await setUp(t);
    const state = await open();
    void keepChanges({ state, clock, log: silentLog }, forever, signal);
    await until(clock, () => horizonOf(state) !== undefined);
    const long = project("long", { description: "x".repeat(formerBytesMax) });
    await state.transact((tx) => tx.put(kinds.project, "p", long), cause);
    await state.transact((tx) => tx.put(kinds.project, "p", project("short")), cause);
    const steps = stepsOf(state, kinds.project, "p");
    const { was } = at(state, kinds.project, "p", steps, { case: "revision", value: steps[0]!.revision });
    assert.equal(isLeftOut(was) && was.leftOutBytes, BigInt(toBinary(ProjectSchema, long).length));
  });
});

describe("the record of a commit", () => {
  const ports = { clock: new VirtualClock(), random, room: 1e6 };
  const written = (id: string, before: Message | undefined, after: Message | undefined) => {
    return { kind: kinds.project, id, before, after };
  };

  test("is read by its descriptors as it was written by hand", () => {
    const put = changePut(
      [written("p", project("one"), undefined), written("q", undefined, project("two"))],
      cause,
      ports,
    );
    const { actor, method, reason, things } = fromBinary(ChangeSchema, put!.value);
    assert.deepEqual({ actor, method, reason }, cause);
    assert.deepEqual(
      things.map(({ kind, id, former }) => [kind, id, former && fromBinary(ProjectSchema, former).name]),
      [
        ["project", "p", "one"],
        ["project", "q", undefined],
      ],
    );
    assert.equal(timeOfId(put!.key.slice("change/".length)), ports.clock.wallMs());
    const crowded = changePut([written("p", project("one"), undefined)], cause, { ...ports, room: 0 });
    assert.equal(fromBinary(ChangeSchema, crowded!.value).things[0]?.leftOutBytes, 5n);
  });

  test("is not made of what is not recorded, nor of a deletion of nothing", () => {
    const claim = create(kinds.claim.schema, { value: "p" });
    assert.equal(
      changePut([{ kind: kinds.claim, id: "vrf/1", before: undefined, after: claim }], cause, ports),
      undefined,
    );
    assert.equal(changePut([written("p", undefined, undefined)], cause, ports), undefined);
  });
});

describe("changes are kept", () => {
  const row = (n: number, bytes: number, revision = BigInt(n)) => ({
    id: `${`${n}`.padStart(15, "0")}/x`,
    revision,
    value: create(ChangeSchema, { things: [{ kind: "project", id: "", former: new Uint8Array(bytes) }] }) as Change,
  });

  test("for as long as they may, and as many bytes as they may", () => {
    const rows = [row(1, 0), row(2, 0), row(3, 1000)];
    assert.deepEqual(outlived(rows, { keepMs: 10, bytesMax: 1e6 }, 12), rows.slice(0, 1));
    const all = rows.reduce((sum, { value }) => sum + changeBytes(value), 0);
    assert.deepEqual(outlived(rows, { keepMs: 1e6, bytesMax: all }, 12), []);
    assert.deepEqual(outlived(rows, { keepMs: 1e6, bytesMax: all - 1 }, 12), rows.slice(0, 1));
  });

  test("until the oldest give way, and what is asked for beyond that is refused", async (t) => {
    const { clock, open, signal } = await setUp(t);
    const state = await open();
    const retention = { keepMs: 3_600_000, bytesMax: 100_000 };
    void keepChanges({ state, clock, log: silentLog }, retention, signal);
    await until(clock, () => horizonOf(state) !== undefined);
    for (let n = 0; n < 400; n++) {
      clock.advance(1);
      await state.transact((tx) => tx.put(kinds.project, "p", project(`${n}`)), cause);
    }
    const first = stepsOf(state, kinds.project, "p")[0]!.revision;
    await until(clock, () => state.folded(bytesKept, "") <= retention.bytesMax);
    const held = stepsOf(state, kinds.project, "p");
    assert.ok(held.length > 100 && held.length < 400, `${held.length}`);
    assert.equal(horizonOf(state)?.revision, held[0]!.revision - 1n);
    const ask = (value: bigint) => at(state, kinds.project, "p", held, { case: "revision", value });
    assert.throws(() => ask(first), /longer ago than changes are kept/);
    assert.equal((ask(held[0]!.revision).was as ReturnType<typeof project>).name, `${400 - held.length}`);
    clock.advance(2 * 3_600_000);
    await until(clock, () => state.list(kinds.change).length === 0);
    assert.deepEqual(stepsOf(state, kinds.project, "p"), []);
  });
});

test("differences name the paths of fields, of lists and of maps", () => {
  const labels = (all: Record<string, string>) => ({ meta: { labels: { labels: all } } });
  const one = create(ProjectSchema, { name: "one", ...labels({ team: "a", "a/b": "1" }) });
  const other = create(ProjectSchema, { name: "two", tenant: "t", ...labels({ team: "a" }) });
  assert.deepEqual(differences(ProjectSchema, one, other), [
    { path: 'meta.labels.labels["a/b"]', before: '"1"', after: undefined },
    { path: "name", before: '"one"', after: '"two"' },
    { path: "tenant", before: undefined, after: '"t"' },
  ]);
  assert.deepEqual(differences(ProjectSchema, undefined, undefined), []);
});
