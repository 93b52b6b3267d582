import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";

import { matchLayout } from "#domain/filesystem/match.ts";
import { badLayout } from "#domain/filesystem/rules.ts";
import { sizeOf as sizeOfHardware } from "#domain/machine/size.ts";
import { badSize } from "#domain/size/rules.ts";
import { FilesystemLayoutSchema } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { MachineHardwareSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { newValidator } from "#lib/rpc/validation.ts";
import { artifactsAt } from "./artifacts.ts";
import { parseLabOptions } from "./options.ts";
import { labPlan } from "./plan.ts";
import { imageOf, layoutOf, partitionOf, sizeOf } from "./seed.ts";

const parsed = parseLabOptions([], 1);
assert(parsed.ok && parsed.value !== "help");
const plan = labPlan(parsed.value);
const file = { file: "/x", sha256: "ab".repeat(32) };
const artifacts = artifactsAt(plan, { kernel: file, initrd: file, os: file, localEfi: file });
const size = create(SizeSchema, sizeOf(plan));
const layout = create(FilesystemLayoutSchema, layoutOf());
const image = create(ImageSchema, imageOf(plan, artifacts));

test("what the lab seeds holds to the rules of the API and of the domain", () => {
  const validator = newValidator();
  const partition = create(PartitionSchema, partitionOf(plan, artifacts));
  assert.deepEqual(
    [
      validator.validate(SizeSchema, size),
      validator.validate(FilesystemLayoutSchema, layout),
      validator.validate(ImageSchema, image),
      validator.validate(PartitionSchema, partition),
    ].map((r) => r.error?.message ?? r.kind),
    ["valid", "valid", "valid", "valid"],
  );
  assert.equal(badSize(size), undefined);
  assert.equal(badLayout(layout), undefined);
});

test("a server of the lab has the size that was seeded for it", () => {
  const hardware = create(MachineHardwareSchema, {
    memory: BigInt((1024 - 40) << 20),
    cpus: [{ vendor: "AuthenticAMD", model: "QEMU Virtual CPU", cores: 1, threads: 1 }],
    disks: [
      { name: "/dev/vda", size: 4n << 30n },
      { name: "/dev/vdb", size: 1n << 30n },
    ],
  });
  assert.deepEqual(sizeOfHardware(hardware, [size]), { ok: true, value: size.id });
});

test("the seeded layout is found for the seeded size and image", () => {
  assert.equal(matchLayout([layout], size.id, image.id)?.id, layout.id);
});
