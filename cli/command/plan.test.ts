import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { fake, holdfast, project, reset, start, stop, uuid } from "../testing/rehearsal.ts";

before(start);
beforeEach(reset);
after(stop);

describe("a dry run", () => {
  test("shows what would change and the hash to do it by, and makes no other call", async () => {
    const ran = await holdfast(["machine", "delete", uuid, "--project", project, "--dry-run"]);
    assert.equal(
      ran.out,
      `machine ${uuid} (lab): given back, epoch 4, project ${project}\n` +
        "  disk /dev/sda (1.0KiB): wiped\n" +
        `port swp1 of switch leaf1, machine ${uuid}: provisioning\n`,
    );
    assert.match(ran.err, /it is the only one\n.*--plan 7-abc/);
    assert.deepEqual(
      fake.asked.map(({ method }) => method),
      ["api.v1.PlanService/Plan"],
    );
  });

  test("ends with 1 and says why when it would be refused", async () => {
    const ran = await holdfast(["network", "delete", "n", "--project", project, "--dry-run"]);
    assert.deepEqual([ran.code, ran.out], [1, ""]);
    assert.match(ran.err, /it would be refused: network n is in use by address 10.0.0.5 \(IN_USE\)/);
  });
});

test("a plan's hash goes along with the call", async () => {
  await holdfast(["machine", "delete", uuid, "--project", project, "--plan", "7-abc"]);
  assert.deepEqual(
    fake.asked.map(({ method, plan }) => [method, plan]),
    [["api.v2.MachineService/Delete", "7-abc"]],
  );
});
