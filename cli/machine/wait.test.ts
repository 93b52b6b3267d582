import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import {
  fake,
  holdfast,
  machine,
  project,
  reset,
  start,
  startMs,
  stop,
  uuid,
  type View,
} from "../testing/rehearsal.ts";

before(start);
after(stop);
beforeEach(reset);

const createArgs = ["machine", "create", "--project", project, "--size", "v1-small", "--partition", "lab"].concat([
  "--image",
  "debian-12",
  "--network",
  "n=10.0.0.5",
  "--name",
  "web-1",
]);

/** Pauses below a minute take no time; longer ones end when the test says so. */
function hurriedClock(): VirtualClock {
  const clock = new VirtualClock(startMs);
  const sleep = clock.sleep.bind(clock);
  clock.sleep = (ms, signal) => (ms < 60_000 ? Promise.resolve() : sleep(ms, signal));
  return clock;
}

describe("waiting for a machine", () => {
  const startedAt = timestampFromMs(startMs + 9_000);
  const steps = [{ name: "image", startedAt, endedAt: timestampFromMs(startMs + 12_500), detail: "412 MiB" }];
  const waiting = [Event.WAITING, -60_000] as const;
  const installing = [Event.INSTALLING, 8_000] as const;

  test("shows each stage once with its time, through a cut, and ends when the machine phoned home", async () => {
    const atWork: View = { machine: machine([waiting, installing]), progress: { why: "installing", steps } };
    const atHome: View = { machine: machine([installing, [Event.PHONED_HOME, 31_000]]), progress: { steps } };
    fake.views = [[{ machine: machine([waiting]), initialDone: true }, atWork, "cut"], ["cut"], [atWork, atHome]];
    const ran = await holdfast([...createArgs, "--wait"], { clock: hurriedClock() });
    assert.equal(ran.code, 0, ran.err);
    assert.equal(ran.out, `${uuid}\n`);
    assert.deepEqual(ran.err.split("\n").slice(0, 4), [
      `machine ${uuid} is web-1 now (v1-small, lab)`,
      "    +8.0s  Installing",
      "   +12.5s    image  3.5s, 412 MiB",
      "   +31.0s  Phoned Home",
    ]);
  });

  test("sends keys, userdata and networks as the contract wants them", async () => {
    const files = { key: "# mine\nssh-ed25519 AAAA me\n" };
    await holdfast([...createArgs, "--ssh-key", "@key", "--userdata", "#!/bin/sh", "--label", "a=b"], { files });
    const request = fake.asked[0]?.request as Record<string, unknown> & {
      networks: { network: string; ips: string[] }[];
    };
    assert.deepEqual(request.sshPublicKeys, ["ssh-ed25519 AAAA me"]);
    assert.equal(request.userdata, Buffer.from("#!/bin/sh").toString("base64"));
    assert.deepEqual([request.networks[0]?.network, request.networks[0]?.ips], ["n", ["10.0.0.5"]]);
    assert.equal(request.project, project);
  });

  test("asks for a name of its own by a header, beside a plan and when it plans", async () => {
    await holdfast(createArgs);
    await holdfast([...createArgs, "--unique-name", "--plan", "7-abc"]);
    await holdfast([...createArgs, "--unique-name", "--dry-run"]);
    assert.deepEqual(
      fake.asked.map(({ method, plan, uniqueName }) => [method.split(".").at(-1), plan, uniqueName]),
      [
        ["MachineService/Create", null, null],
        ["MachineService/Create", "7-abc", "true"],
        ["PlanService/Plan", null, "true"],
      ],
    );
  });

  test("ends with 1 and the last failure when the time is over", async () => {
    const crashed = machine([[Event.CRASHED, 5_000, "image: digest differs"]]);
    fake.views = [[{ machine: crashed, progress: { why: "booting again" } }]];
    const clock = new VirtualClock(startMs);
    const onNote = (text: string) => text.includes("Crashed") && clock.advance(120_000);
    const ran = await holdfast([...createArgs, "--wait", "--timeout", "2m"], { clock, onNote });
    assert.equal(ran.code, 1);
    assert.match(ran.err, /is not installed after 2m00s: Crashed: image: digest differs; it goes on without this/);
  });

  test("ends with 1 when the machine is released meanwhile", async () => {
    fake.views = [[{ machine: machine([[Event.MACHINE_RECLAIM, 4_000]], false) }]];
    const ran = await holdfast([...createArgs, "--wait"]);
    assert.deepEqual([ran.code, /released while it was being installed/.test(ran.err)], [1, true]);
  });

  test("a machine that went away while the connection was cut is noticed", async () => {
    fake.views = [["cut"], [{ initialDone: true }]];
    const ran = await holdfast([...createArgs, "--wait"], { clock: hurriedClock() });
    assert.deepEqual([ran.code, /released while it was being installed/.test(ran.err)], [1, true]);
  });

  test("a release is over when the machine waits again, wiped", async () => {
    const home = [Event.PHONED_HOME, 0] as const;
    const reclaimed = [Event.MACHINE_RECLAIM, 1_000] as const;
    fake.views = [
      [
        { machine: machine([home]) },
        { machine: machine([home, reclaimed], false) },
        { machine: machine([reclaimed, [Event.WAITING, 20_000]], false) },
      ],
    ];
    const ran = await holdfast(["machine", "delete", uuid, "--wait"]);
    assert.deepEqual([ran.code, ran.out], [0, `${uuid}\n`]);
    assert.deepEqual(fake.asked[0]?.request, { uuid, project });
    assert.match(ran.err, /Waiting\nwiped and waiting after/);
  });

  test("a live line shows what goes on, and is gone at the end", async () => {
    const phonedHome = machine([[Event.PHONED_HOME, 9_000]]);
    fake.views = [[{ machine: machine([]), progress: { why: "waiting for power" } }, { machine: phonedHome }]];
    const ran = await holdfast([...createArgs, "--wait"], { isLive: true });
    assert.match(ran.err, /… waiting for power/);
    assert.ok(ran.err.endsWith("\r\u001b[2Kinstalled after 0.0s, at 10.0.0.5\n"), JSON.stringify(ran.err));
  });
});
