import assert from "node:assert/strict";
import { test } from "node:test";
import { Checks } from "./checks.ts";
import { serialStage, Timeline, timelineLines } from "./timeline.ts";
import { Changes, Late } from "./waiting.ts";

const mark = (stage: string, atMs: number, machine = "m1") => ({ machine, stage, atMs });

test("stages are in the order of time, whatever order they were heard in", () => {
  const timeline = new Timeline();
  timeline.add(mark("power on", 1000));
  timeline.add(mark("waiting", 31_500));
  timeline.add(mark("dhcp", 3300));
  timeline.add(mark("power on", 1100, "m2"));
  assert.deepEqual(timelineLines(timeline.marks, "m1"), [
    "    0.0 s     +0.0  power on",
    "    2.3 s     +2.3  dhcp",
    "   30.5 s    +28.2  waiting",
  ]);
});

test("an event that is read again is one mark", () => {
  const timeline = new Timeline();
  timeline.add(mark("waiting", 5));
  timeline.add(mark("waiting", 5));
  timeline.add(mark("waiting", 6));
  assert.equal(timeline.marks.length, 2);
});

test("a wait for a stage ends with its first mark after the given time", async () => {
  const timeline = new Timeline();
  timeline.add(mark("waiting", 5));
  const wait = timeline.until("m1", "waiting", 6, 60_000);
  timeline.add(mark("waiting", 9));
  assert.equal((await wait).atMs, 9);
});

test("a wait that comes to nothing says what it waited for and how things stand", async () => {
  const changes = new Changes();
  const wait = changes.until({ what: "the moon", deadlineMs: 1, now: () => "night" }, () => undefined);
  await assert.rejects(wait, new Late("the moon", 1, "night"));
});

test("what cannot come any more ends every wait", async () => {
  const changes = new Changes();
  const wait = changes.until({ what: "x", deadlineMs: 60_000 }, () => undefined);
  changes.fail(new Error("central ended"));
  await assert.rejects(wait, /central ended/);
  await assert.rejects(
    changes.until({ what: "y", deadlineMs: 60_000 }, () => 1),
    /central ended/,
  );
});

test("lines of firmware, installer and system are stages", () => {
  assert.deepEqual(
    [
      "Configuring (net0 52:54:00:77:00:01)... ok",
      "http://10.77.0.1:8080/boot.ipxe... ok",
      "http://10.77.0.1:8080/kernel... ok",
      "HOLDFAST 3.96 init kernel 6.1.0-56-cloud-amd64",
      "lab-alpha login: HOLDFAST 14.31 phoned-home lab-alpha",
    ].map(serialStage),
    ["dhcp", "script", undefined, "kernel", "os up"],
  );
});

test("after a failed stage the others are skipped and the run is not good", async () => {
  const lines: string[] = [];
  const checks = new Checks((line) => lines.push(line));
  await checks.stage("first", async () => 1);
  await checks.stage("second", async () => {
    throw new Error("no", { cause: new Error("because") });
  });
  await checks.stage("third", async () => 3);
  assert.equal(checks.line, "1 passed, 1 failed, 1 skipped");
  assert.equal(checks.isGood, false);
  assert.equal(lines[1], "  FAILED   second: no: because");
});
