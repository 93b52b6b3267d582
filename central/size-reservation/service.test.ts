import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { SizeService as AdminSizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { SizeReservationService as AdminSizeReservationService } from "#gen/metalstack/admin/v2/size_reservation_pb.ts";
import { OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeReservationService } from "#gen/metalstack/api/v2/size_reservation_pb.ts";
import { type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";

let central: MachineCentral;
let other: { readonly project: string; readonly network: string };
beforeEach(async () => {
  central = await machineCentral();
  const project = await central.newProject("second");
  other = { project, network: await central.childNetwork(project) };
});
afterEach(() => central.close());

const refused = (code: Code, reason: string) => (error: unknown) => {
  assert.ok(error instanceof ConnectError, String(error));
  const [info] = error.findDetails(ErrorInfoSchema);
  assert.deepEqual([Code[error.code], info?.reason], [Code[code], reason], error.message);
  return true;
};
const reserve = async (amount: number, project = central.project) =>
  (
    await central.client(AdminSizeReservationService).create({
      sizeReservation: { name: "kept", project, size: "small", partitions: ["lab"], amount },
    })
  ).sizeReservation!;
const createOther = () => central.create({ project: other.project, networks: [{ network: other.network }] });
const row = async (project?: string) => {
  const query = project === undefined ? {} : { project };
  const { partitionCapacity } = await central.client(AdminPartitionService).capacity({ id: "lab", ...query });
  return partitionCapacity[0]!.machineSizeCapacities.find((one) => one.size === "small")!;
};

describe("a size reservation", () => {
  test("keeps the rest for its project, and does not limit that", async () => {
    await central.waiting(4);
    await reserve(2);
    await createOther();
    await createOther();
    await assert.rejects(createOther(), refused(Code.ResourceExhausted, "RESERVED"));
    await central.create();
    await assert.rejects(createOther(), refused(Code.ResourceExhausted, "RESERVED"));
    await central.create();
    await assert.rejects(central.create(), refused(Code.ResourceExhausted, "NO_MACHINE"));
  });

  test("holds against whoever names a machine, and not for one that is tainted", async () => {
    await central.waiting(2);
    const { id } = await reserve(1);
    const theirs = { project: other.project, networks: [{ network: other.network }] };
    const named = (n: number) => central.create({ ...theirs, uuid: machineUuid(n) });
    await named(1);
    await assert.rejects(named(2), (error) => {
      const text = `${machineUuid(2)} and 0 others of size small can be had in partition lab, and 1 are reserved for other projects, by size reservation ${id} of project ${central.project}:`;
      assert.ok(String(error).includes(text), String(error));
      return refused(Code.ResourceExhausted, "RESERVED")(error);
    });
    const condition = { uuid: machineUuid(2), state: MachineState.TAINTED, description: "for a test" };
    await central.client(AdminMachineService).setState(condition);
    await named(2);
  });

  test("is left to its own project when that names a machine", async () => {
    await central.waiting(1);
    await reserve(1);
    await central.create({ uuid: machineUuid(1) });
  });

  test("is used up by what its project has, and then leaves the others the rest", async () => {
    await central.waiting(4);
    await central.create();
    await central.create();
    await reserve(2);
    await createOther();
    await createOther();
  });

  test("holds against many who ask at once", async () => {
    await central.waiting(6);
    await reserve(3);
    const asked = await Promise.allSettled(Array.from({ length: 6 }, createOther));
    assert.equal(asked.filter((a) => a.status === "fulfilled").length, 3);
  });

  test("promises no more than there is, also when it is changed", async () => {
    await central.waiting(3);
    const { id } = await reserve(2);
    await assert.rejects(reserve(2, other.project), refused(Code.FailedPrecondition, "NOT_SO_MANY"));
    await reserve(1, other.project);
    const admin = central.client(AdminSizeReservationService);
    const updateMeta = { lockingStrategy: Lock.SERVER };
    await assert.rejects(
      admin.update({ id, updateMeta, amount: 3, partitions: ["lab"] }),
      refused(Code.FailedPrecondition, "NOT_SO_MANY"),
    );
    const { sizeReservation } = await admin.update({ id, updateMeta, amount: 1, partitions: ["lab"], name: "less" });
    assert.deepEqual([sizeReservation?.amount, sizeReservation?.name], [1, "less"]);
    const nowhere = admin.update({ id, updateMeta, partitions: ["nowhere"] });
    await assert.rejects(nowhere, refused(Code.NotFound, "NOT_FOUND"));
  });

  test("is seen by its project, and by no other", async () => {
    await central.waiting(1);
    const { id } = await reserve(1);
    const mine = central.client(SizeReservationService, central.ownerToken);
    const { sizeReservations } = await mine.list({ project: central.project });
    assert.deepEqual(
      sizeReservations.map((one) => one.id),
      [id],
    );
    assert.equal((await mine.get({ id, project: central.project })).sizeReservation?.amount, 1);
    const theirs = central.client(SizeReservationService);
    assert.deepEqual((await theirs.list({ project: other.project })).sizeReservations, []);
    await assert.rejects(theirs.get({ id, project: other.project }), refused(Code.NotFound, "NOT_FOUND"));
    const found = await central.client(AdminSizeReservationService).list({ query: { partition: "lab", size: "big" } });
    assert.deepEqual(found.sizeReservations, []);
  });

  test("keeps its project, size and partition from being deleted, and is gone once", async () => {
    await central.waiting(1);
    const project = await central.newProject("third");
    const { id } = await reserve(1, project);
    await assert.rejects(
      central.client(ProjectService).delete({ project }),
      refused(Code.FailedPrecondition, "IN_USE"),
    );
    await assert.rejects(
      central.client(AdminSizeService).delete({ id: "small" }),
      refused(Code.FailedPrecondition, "IN_USE"),
    );
    await assert.rejects(
      central.client(AdminPartitionService).delete({ id: "lab" }),
      refused(Code.FailedPrecondition, "IN_USE"),
    );
    const admin = central.client(AdminSizeReservationService);
    await admin.delete({ id });
    await assert.rejects(admin.delete({ id }), refused(Code.NotFound, "NOT_FOUND"));
    await central.client(ProjectService).delete({ project });
  });
});

describe("the capacity of a partition", () => {
  test("counts what its machines do, and what is reserved, used and left", async () => {
    await central.waiting(5);
    await reserve(2);
    await reserve(1, other.project);
    await central.create();
    const [locked = "", dead = ""] = [4, 5].map(machineUuid).filter((uuid) => !central.desired(uuid).allocation);
    const { allocated } = await row();
    assert.equal(allocated, 1n);
    if (locked)
      await central
        .client(AdminMachineService)
        .setState({ uuid: locked, state: MachineState.LOCKED, description: "x" });
    const now = await row();
    assert.deepEqual(
      [now.total, now.allocated, now.unavailable, now.allocatable, now.reservations, now.usedReservations],
      [5n, 1n, 1n, 3n, 3n, 1n],
    );
    assert.deepEqual([now.remainingReservations, now.free], [2n, 1n]);
    const theirs = await row(other.project);
    assert.deepEqual([theirs.reservations, theirs.usedReservations, theirs.free], [1n, 0n, 1n]);
    assert.equal(now.other, 5n, "none of them has told of its phase");
    assert.ok(dead === "" || now.otherMachines.includes(dead));
  });

  test("is asked of all partitions, or of one size", async () => {
    await central.waiting(2);
    await central.client(AdminPartitionService).create({ partition: { id: "far" } });
    const admin = central.client(AdminPartitionService);
    const { partitionCapacity } = await admin.capacity({});
    assert.deepEqual(
      partitionCapacity.map((one) => [one.partition, one.machineSizeCapacities.map((s) => `${s.size} ${s.total}`)]),
      [
        ["far", []],
        ["lab", ["small 2"]],
      ],
    );
    const none = await admin.capacity({ id: "lab", size: "big" });
    assert.deepEqual(none.partitionCapacity[0]?.machineSizeCapacities, []);
    await assert.rejects(admin.capacity({ id: "nowhere" }), refused(Code.NotFound, "NOT_FOUND"));
  });
});
