import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { fake, holdfast, reset, start, stop } from "../testing/rehearsal.ts";
import { parseMoment, parseSpan } from "./history.ts";

before(start);
beforeEach(reset);
after(stop);

/** The first request, as it came. */
const asked = <T>(): T => {
  const [first] = fake.asked;
  assert.ok(first);
  return first.request as T; // the test knows which call it made
};

describe("holdfast history", () => {
  test("lists changes with who, by which call and why, and says from when on they are held", async () => {
    const ran = await holdfast(["history", "image", "debian", "--reason", "to see it"]);
    assert.match(ran.out, /7 +2026-01-01T00:00:00.000Z +changed +ann +ImageService\/Update +name url +to see it/);
    assert.match(ran.err, /nothing is held of what was before 2025-12-31T23:59:00.000Z/);
    assert.equal(asked<{ readonly pageSize: number }>().pageSize, 50);
  });

  test("shows what it was like, and what differs", async () => {
    const was = await holdfast(["history", "image", "debian", "--at", "7", "-o", "json"]);
    assert.equal(JSON.parse(was.out).image.id, "debian");
    assert.deepEqual(asked<{ readonly at: { readonly at: object } }>().at.at, { case: "revision", value: 7n });
    const differs = await holdfast(["history", "image", "debian", "--diff", "3.."]);
    assert.equal(differs.out, '- name: "old"\n+ name: "new"\n+ url: "u"\n');
  });

  test("ends with 2 for what is no moment, and for two questions at once", async () => {
    for (const flags of [
      ["--at", "yesterday"],
      ["--diff", "7"],
      ["--diff", "1..2..3"],
      ["--at", "1", "--diff", "1.."],
    ])
      assert.equal((await holdfast(["history", "image", "debian", ...flags])).code, 2, `${flags}`);
  });
});

test("a moment is a revision or a time", () => {
  const time = (ms: number) => ({ at: { case: "time", value: timestampFromMs(ms) } });
  assert.deepEqual(parseMoment("2026-01-01T00:00:01Z"), { ok: true, value: time(Date.UTC(2026, 0, 1, 0, 0, 1)) });
  assert.deepEqual(parseMoment("2026-01-02"), { ok: true, value: time(Date.UTC(2026, 0, 2)) });
  assert.deepEqual(parseSpan("5..2026-01-02"), {
    ok: true,
    value: [{ at: { case: "revision", value: 5n } }, time(Date.UTC(2026, 0, 2))],
  });
});
