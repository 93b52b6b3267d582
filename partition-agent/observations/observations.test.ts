import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineHardwareSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { silentLog } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Outbox } from "../outbox/outbox.ts";
import { HeldDisk } from "../testing/held-disk.ts";
import { Observations } from "./observations.ts";

const random: Random = { bytes: (n) => new Uint8Array(n), below: () => 0, uuid: () => "outbox" };

async function opened(disk = new HeldDisk(), machinesMax?: number) {
  const changed: string[] = [];
  const outbox = await Outbox.open(disk, random, silentLog, () => {});
  const observations = new Observations({
    partition: "p1",
    disk,
    outbox,
    clock: new VirtualClock(),
    log: silentLog,
    changed: (uuid) => changed.push(uuid),
    ...(machinesMax !== undefined && { machinesMax }),
  });
  return { disk, outbox, observations, changed };
}

const nics = (...macs: readonly string[]) =>
  create(MachineHardwareSchema, { nics: macs.map((mac, i) => ({ mac, name: `eth${i}` })) });

test("nobody is told, and nobody reads, before it is durable", async () => {
  const { disk, observations, changed } = await opened();
  disk.hold();
  const update = observations.update("m", (m) => {
    m.rack = "r1";
  });
  assert.equal(observations.get("m"), undefined);
  assert.deepEqual(changed, []);
  disk.release();
  await update;
  assert.equal(observations.get("m")?.rack, "r1");
  assert.deepEqual(changed, ["m"]);
});

test("when nothing changed, nothing is written, reported or told", async () => {
  const { disk, outbox, observations, changed } = await opened();
  const set = () =>
    observations.update("m", (m) => {
      m.rack = "r1";
    });
  await set();
  await outbox.acknowledge(1n);
  const { writes } = disk;
  await set();
  assert.equal(disk.writes, writes);
  assert.equal(outbox.size, 0);
  assert.deepEqual(changed, ["m"]);
});

test("changes that overlap build on each other in the order in which they were asked for", async () => {
  const { disk, outbox, observations } = await opened();
  disk.hold();
  const updates = ["1", "2", "3"].map((digit) =>
    observations.update("m", (m) => {
      m.rack += digit;
    }),
  );
  disk.release();
  await Promise.all(updates);
  assert.equal(observations.get("m")?.rack, "123");
  const reported = outbox.pending(10).map((e) => fromBinary(MachineObservedSchema, e.value).rack);
  assert.deepEqual(reported, ["123"]);
  assert.equal((await opened(disk)).observations.get("m")?.rack, "123");
});

test("who repeats a change that is still on its way waits until it is durable", async () => {
  const { disk, observations } = await opened();
  const set = () =>
    observations.update("m", (m) => {
      m.rack = "r1";
    });
  disk.hold();
  const first = set();
  let answered = false;
  const second = set().then(() => {
    answered = true;
  });
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(answered, false);
  disk.release();
  await Promise.all([first, second]);
  assert.equal(answered, true);
});

test("a change that the disk did not take is forgotten, told to its caller, and can be made again", async () => {
  const { disk, outbox, observations, changed } = await opened();
  await observations.update("m", (m) => {
    m.rack = "r1";
  });
  disk.broken = new Error("no space left on device");
  const move = () =>
    observations.update("m", (m) => {
      m.rack = "r2";
    });
  await assert.rejects(move(), /no space left/);
  await assert.rejects(
    observations.update("new", () => {}),
    /no space left/,
  );
  assert.equal(observations.get("m")?.rack, "r1");
  assert.equal(observations.get("new"), undefined);
  assert.deepEqual(changed, ["m"]);
  disk.broken = undefined;
  await move();
  assert.equal(observations.get("m")?.rack, "r2");
  assert.equal((await opened(disk)).observations.get("m")?.rack, "r2");
  assert.equal(outbox.size, 1);
});

test("a change whose own rule refuses it changes nothing", async () => {
  const { observations } = await opened();
  const refuse = () => {
    throw new Refusal("precondition", "stale");
  };
  await assert.rejects(observations.update("m", refuse), /stale/);
  assert.equal(observations.get("m"), undefined);
});

test("a machine too many is refused by name", async () => {
  const { observations } = await opened(new HeldDisk(), 2);
  await observations.update("a", () => {});
  await observations.update("b", () => {});
  await assert.rejects(
    observations.update("c", () => {}),
    (e) => e instanceof Refusal && e.code === "exhausted",
  );
  await observations.update("a", (m) => {
    m.rack = "r1";
  });
});

test("a machine is found by any of its addresses, and by none that it has no more", async () => {
  const { disk, observations } = await opened();
  await observations.update("m", (m) => {
    m.hardware = nics("02:00:00:00:00:01", "02:00:00:00:00:AB");
  });
  assert.equal(observations.byMac("02:00:00:00:00:ab")?.uuid, "m");
  assert.equal((await opened(disk)).observations.byMac("02:00:00:00:00:ab")?.uuid, "m");
  await observations.update("m", (m) => {
    m.hardware = nics("02:00:00:00:00:01");
  });
  assert.equal(observations.byMac("02:00:00:00:00:ab"), undefined);
  assert.equal(observations.byMac("02:00:00:00:00:01")?.uuid, "m");
});

test("a damaged row is left out, and the others are there", async () => {
  const { disk, observations } = await opened();
  await observations.update("a", () => {});
  await observations.update("b", () => {});
  await disk.write([{ table: "observed", key: "a", value: new Uint8Array([0xff]) }]);
  const again = await opened(disk);
  assert.deepEqual(
    again.observations.list().map((m) => m.uuid),
    ["b"],
  );
});
