import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ageText, durationText, parseDuration } from "./time.ts";

test("a duration is written with two units at most", () => {
  const table: readonly (readonly [number, string])[] = [
    [0, "0.0s"],
    [-5, "0.0s"],
    [12_340, "12.3s"],
    [99_999, "100.0s"],
    [185_000, "3m05s"],
    [7_805_000, "2h10m"],
    [356_400_000, "4d3h"],
  ];
  for (const [ms, text] of table) assert.equal(durationText(ms), text);
});

test("an age is one unit, and nothing when unknown", () => {
  assert.equal(ageText(timestampFromMs(1_000_000), 1_090_000), "90s");
  assert.equal(ageText(timestampFromMs(0), 3_600_000), "60m");
  assert.equal(ageText(timestampFromMs(0), 864_000_000), "10d");
  assert.equal(ageText(undefined, 0), "");
});

test("durations are read with their unit, and refused without", () => {
  assert.deepEqual(parseDuration("1h30m"), { ok: true, value: 5_400_000 });
  assert.deepEqual(parseDuration("250ms"), { ok: true, value: 250 });
  for (const bad of ["", "5", "h", "-5m", "5 m", "1y"]) assert.equal(parseDuration(bad).ok, false, bad);
});
