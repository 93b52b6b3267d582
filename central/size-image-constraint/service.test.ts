import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { SizeImageConstraintService as AdminSizeImageConstraintService } from "#gen/metalstack/admin/v2/size_imageconstraint_pb.ts";
import { SizeService as AdminSizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { SizeImageConstraintService } from "#gen/metalstack/api/v2/size_imageconstraint_pb.ts";
import { type MachineCentral, machineCentral } from "../testing/machines.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
});
afterEach(() => central.close());

const refused =
  (code: Code, text = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof ConnectError, String(error));
    assert.deepEqual([Code[error.code], text.test(error.message)], [Code[code], true], error.message);
    return true;
  };
const admin = () => central.client(AdminSizeImageConstraintService);
const limit = (semverMatch: string, image = "debian") =>
  admin().create({ size: "small", imageConstraints: [{ image, semverMatch }], name: "new ones" });
const tried = (image: string) =>
  central.client(SizeImageConstraintService, central.ownerToken).try({ size: "small", image });

test("a size takes every image, until a constraint limits an operating system to versions", async () => {
  await tried("debian-13");
  await limit(">= 13.0.2");
  await tried("debian-13");
  await assert.rejects(tried("debian-13.0.1"), refused(Code.FailedPrecondition, /small takes debian >= 13\.0\.2/));
  await assert.rejects(tried("debian-99"), refused(Code.NotFound, /debian-99/));
});

test("what a size does not take is not installed on it", async () => {
  await central.waiting(1);
  await limit("^ 12");
  await assert.rejects(central.create(), refused(Code.FailedPrecondition, /small takes debian \^ 12/));
  await admin().update({
    size: "small",
    updateMeta: { lockingStrategy: Lock.SERVER },
    imageConstraints: [{ image: "debian", semverMatch: "~ 13.0" }],
  });
  await central.create();
});

test("a constraint names its operating systems once, and versions that can be read", async () => {
  await assert.rejects(limit("newest"), refused(Code.InvalidArgument, /version constraint newest/));
  await assert.rejects(limit("*", "Debian 13"), refused(Code.InvalidArgument, /no operating system/));
  const twice = [1, 2].map(() => ({ image: "debian", semverMatch: "*" }));
  await assert.rejects(
    admin().create({ size: "small", imageConstraints: twice }),
    refused(Code.InvalidArgument, /twice/),
  );
  await assert.rejects(admin().create({ size: "small" }), refused(Code.InvalidArgument, /at least one/));
  const nowhere = admin().create({ size: "huge", imageConstraints: [{ image: "debian", semverMatch: "*" }] });
  await assert.rejects(nowhere, refused(Code.NotFound, /size huge/));
});

test("a size has one constraint, which is found, listed, holds its size, and is gone once", async () => {
  await limit("*");
  await assert.rejects(limit("*"), refused(Code.AlreadyExists));
  assert.equal((await admin().get({ size: "small" })).sizeImageConstraint?.name, "new ones");
  assert.equal((await admin().list({ query: { name: "new ones" } })).sizeImageConstraints.length, 1);
  assert.deepEqual((await admin().list({ query: { size: "huge" } })).sizeImageConstraints, []);
  await assert.rejects(central.client(AdminSizeService).delete({ id: "small" }), refused(Code.FailedPrecondition));
  await admin().delete({ size: "small" });
  await assert.rejects(admin().delete({ size: "small" }), refused(Code.NotFound));
});
