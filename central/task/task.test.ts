import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { clone, enumToJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code } from "@connectrpc/connect";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { type TaskInfo, TaskService, TaskStateSchema } from "#gen/metalstack/admin/v2/task_pb.ts";
import { MachineBMCCommand as Command, MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { deletionTaskId } from "./deletion.ts";

const uuid = machineUuid(1);
const bmc = { address: "10.9.0.1:623", mac: "52:54:00:00:01:01" };

let central: MachineCentral;
let tasks: Client<typeof TaskService>;
beforeEach(async () => {
  central = await machineCentral();
  tasks = central.client(TaskService);
  await central.waiting(2, { bmc });
});
afterEach(() => central.close());

const listed = async (query: { queue?: string; count?: number; page?: number } = {}) => (await tasks.list(query)).tasks;
const said = (t: TaskInfo | undefined) => [
  t?.type,
  t?.queue,
  `${enumToJson(TaskStateSchema, t?.state ?? 0)}`.replace("TASK_STATE_", ""),
];
const payload = (t: TaskInfo) => JSON.parse(new TextDecoder().decode(t.payload)) as Record<string, unknown>;
const order = (of = uuid) =>
  central.client(AdminMachineService).bMCCommand({ uuid: of, command: Command.MACHINE_BMC_COMMAND_ON });

test("a release is a task from the call that orders it until the port is seen isolated", async () => {
  await central.create({ uuid });
  const { machine } = await central.client(MachineService).delete({ uuid, project: central.project });
  const taskId = machine?.meta?.deletionTaskId ?? assert.fail("the answer names no task");
  const get = async () => (await tasks.get({ taskId })).task;
  assert.deepEqual(said(await get()), ["machine:delete", "lab", "PENDING"]);
  await central.report({ ...aWaiting(uuid), epoch: 3n, isolatedEpoch: 1n, lastFailure: "port p1 cannot be moved" });
  const active = (await get()) ?? assert.fail();
  assert.deepEqual(
    [said(active), active.lastError, payload(active)],
    [
      ["machine:delete", "lab", "ACTIVE"],
      "port p1 cannot be moved",
      { machine: uuid, project: central.project, epoch: "3", addresses: 1 },
    ],
  );
  await assert.rejects(tasks.delete({ taskId }), refusedWith(Code.FailedPrecondition, /is being worked on/));
  await central.report({ ...aWaiting(uuid), epoch: 3n, isolatedEpoch: 3n });
  assert.deepEqual(said(await get()), ["machine:delete", "lab", "COMPLETED"]);
  assert.deepEqual(await listed(), [], "what is over is not listed");
  await assert.rejects(tasks.delete({ taskId }), refusedWith(Code.FailedPrecondition, /nothing is kept/));
  await assert.rejects(tasks.get({ taskId: taskId.replace(/3$/, "4") }), refusedWith(Code.NotFound, /task/));
});

test("an order is pending until the agent begins it, and says how it ended until somebody forgets it", async () => {
  await order();
  const [pending] = await listed();
  assert.deepEqual([said(pending), payload(pending!).command], [["machine:bmc-command", "lab", "PENDING"], "on"]);
  const { id: opId } = central.desired(uuid).orders[0]!;
  const begun = { opId, effect: "carry-out-order", begunAt: { seconds: 1n } };
  await central.report({ ...aWaiting(uuid), bmc, effects: [begun] });
  assert.deepEqual(said((await listed())[0]), ["machine:bmc-command", "lab", "ACTIVE"]);
  await assert.rejects(tasks.delete({ taskId: pending!.id }), refusedWith(Code.FailedPrecondition, /worked on/));
  const ended = { id: opId, error: "BMC is busy", order: central.desired(uuid).orders[0]!, at: { seconds: 2n } };
  await central.report({ ...aWaiting(uuid), bmc, outcomes: [ended] });
  const { task } = await tasks.get({ taskId: pending!.id, queue: "lab" });
  assert.deepEqual(
    [said(task), task?.lastError, task?.lastFailedAt?.seconds],
    [["machine:bmc-command", "lab", "ARCHIVED"], "BMC is busy", 2n],
  );
  await tasks.delete({ taskId: pending!.id });
  await assert.rejects(tasks.get({ taskId: pending!.id }), refusedWith(Code.NotFound, /task/));
  await assert.rejects(tasks.delete({ taskId: pending!.id }), refusedWith(Code.NotFound, /task/));
  assert.deepEqual(await listed(), []);
});

test("to delete the task of an order that has not begun takes the order back, and that can be read", async () => {
  await order();
  const [pending] = await listed();
  await tasks.delete({ taskId: pending!.id });
  assert.deepEqual(central.desired(uuid).orders, []);
  const [archived] = await listed();
  assert.deepEqual(said(archived), ["machine:bmc-command", "lab", "ARCHIVED"]);
  assert.match(archived?.lastError ?? "", /^taken back, with nothing told of it yet: .+ deleted its task$/);
  await tasks.delete({ taskId: archived!.id });
  assert.deepEqual(await listed(), []);
});

test("the queues are the partitions and central's own, in which things that are being deleted stand", async () => {
  const { queues } = await tasks.queues({});
  assert.deepEqual(queues, ["central:deletions", "lab"]);
  const going = clone(kinds.image.schema, central.state.get(kinds.image, "debian-13.0.2")!.value);
  going.meta!.deletionTaskId = deletionTaskId(kinds.image, "debian-13.0.2");
  going.meta!.updatedAt = timestampFromMs(central.clock.wallMs());
  await central.state.transact((tx) => tx.put(kinds.image, "debian-13.0.2", going));
  const taskId = "image:delete:debian-13.0.2";
  assert.deepEqual(said((await tasks.get({ taskId })).task), ["image:delete", "central:deletions", "ACTIVE"]);
  await assert.rejects(tasks.get({ taskId, queue: "lab" }), refusedWith(Code.NotFound, /of queue lab/));
  await assert.rejects(tasks.delete({ taskId }), refusedWith(Code.FailedPrecondition, /worked on/));
  assert.equal((await listed({ queue: "central:deletions" })).length, 1);
  assert.equal((await listed({ queue: "lab" })).length, 0);
  central.clock.advance(60_001);
  const { task } = await tasks.get({ taskId });
  assert.deepEqual([said(task), task?.isOrphaned], [["image:delete", "central:deletions", "ARCHIVED"], true]);
  await assert.rejects(central.create(), refusedWith(Code.FailedPrecondition, /being deleted/));
  await tasks.delete({ taskId });
  assert.equal((await central.create()).machine?.allocation?.image?.id, "debian-13.0.2", "it can be used again");
  await assert.rejects(listed({ queue: "mars" }), refusedWith(Code.NotFound, /queue mars/));
});

test("pages are of the size that was asked for, and together they are the whole", async () => {
  for (const of of [uuid, uuid, uuid, machineUuid(2)]) await order(of);
  const pages = await Promise.all([0, 1, 2].map((page) => listed({ count: 3, page })));
  assert.deepEqual(
    pages.map((p) => p.length),
    [3, 1, 0],
  );
  assert.equal(new Set(pages.flat().map((t) => t.id)).size, 4);
  await assert.rejects(listed({ count: 0 }), refusedWith(Code.InvalidArgument, /1 to 1000/));
  await assert.rejects(listed({ count: 1001 }), refusedWith(Code.InvalidArgument, /1 to 1000/));
});
