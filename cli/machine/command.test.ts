import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { fake, holdfast, reset, start, stop, uuid } from "../testing/rehearsal.ts";

before(start);
after(stop);
beforeEach(reset);

test("why a machine is kept from being given away may be said in any language", async () => {
  const ran = await holdfast(["machine", "state", uuid, "locked", "--reason", "не трогать"]);
  assert.equal(ran.code, 0, ran.err);
  const [asked] = fake.asked;
  assert.deepEqual(asked?.request, { uuid, state: MachineState.LOCKED, description: "не трогать" });
});

test("a machine is forgotten by force only when that is asked for", async () => {
  for (const force of [[], ["--force", "--reason", "burnt"]]) {
    const ran = await holdfast(["machine", "forget", uuid, ...force]);
    assert.deepEqual([ran.code, ran.out], [0, `${uuid}\n`], ran.err);
  }
  assert.deepEqual(
    fake.asked.map(({ request }) => request),
    [
      { uuid, force: false },
      { uuid, force: true },
    ],
  );
});
