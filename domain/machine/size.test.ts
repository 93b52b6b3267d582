import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineHardwareSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { SizeSchema, SizeConstraintType as Type } from "#gen/metalstack/api/v2/size_pb.ts";
import { sizeOf } from "./size.ts";

const gib = 1n << 30n;
const hardware = (more: Omit<MessageInitShape<typeof MachineHardwareSchema>, "$typeName"> = {}) =>
  create(MachineHardwareSchema, {
    memory: 64n * gib,
    cpus: [
      { model: "Xeon 6230", cores: 20 },
      { model: "Xeon 6230", cores: 20 },
    ],
    disks: [
      { name: "/dev/sda", size: 500n * gib },
      { name: "/dev/nvme0n1", size: 1000n * gib },
    ],
    ...more,
  });
type Constraint = readonly [type: Type, min: bigint, max: bigint, identifier?: string];
const size = (id: string, ...constraints: Constraint[]) =>
  create(SizeSchema, {
    id,
    constraints: constraints.map(([type, min, max, identifier]) => ({
      type,
      min,
      max,
      ...(identifier !== undefined && { identifier }),
    })),
  });
const cores: Constraint = [Type.CORES, 40n, 40n];
const memory: Constraint = [Type.MEMORY, 64n * gib, 128n * gib];
const storage: Constraint = [Type.STORAGE, 0n, 1500n * gib];

describe("a size matches when", () => {
  const rows: readonly [string, boolean, readonly Constraint[], Parameters<typeof hardware>[0]?][] = [
    ["every amount lies within its bounds, both included", true, [cores, memory, storage]],
    ["one amount is a byte short: not", false, [cores, [Type.MEMORY, 64n * gib + 1n, 128n * gib], storage]],
    ["one amount is a core over: not", false, [[Type.CORES, 1n, 39n], memory, storage]],
    ["it has no constraints: never", false, []],
    [
      "a disk is covered by none of its constraints: not",
      false,
      [cores, memory, [Type.STORAGE, 0n, 1000n * gib, "/dev/nvme*"]],
    ],
    [
      "each disk is covered by one of them",
      true,
      [cores, memory, [Type.STORAGE, 0n, 1000n * gib, "/dev/nvme*"], [Type.STORAGE, 0n, 500n * gib, "/dev/sd?"]],
    ],
    ["it says nothing of disks, and there are some: not", false, [cores, memory]],
    ["it says nothing of disks, and there are none", true, [cores, memory], { disks: [] }],
    ["processors are of the model", true, [[Type.CORES, 40n, 40n, "Xeon*"], memory, storage]],
    ["processors are of another model: not", false, [[Type.CORES, 0n, 99n, "EPYC*"], memory, storage]],
    ["a GPU is asked for and is not there: not", false, [cores, memory, storage, [Type.GPU, 1n, 1n, "*"]]],
    ["a GPU is there and is not asked for: not", false, [cores, memory, storage], { gpus: [{ model: "H100" }] }],
    [
      "GPUs are counted by model",
      true,
      [cores, memory, storage, [Type.GPU, 2n, 2n, "H1*"]],
      { gpus: [{ model: "H100" }, { model: "H100" }] },
    ],
  ];
  for (const [name, matches, constraints, more] of rows) {
    test(name, () => assert.equal(sizeOf(hardware(more), [size("s", ...constraints)]).ok, matches));
  }
});

test("a machine has the one size that matches; of several it has none, and neither of none, and says why", () => {
  const sizes = [size("a", cores, memory, storage), size("b", [Type.CORES, 1n, 2n], memory, storage)];
  assert.deepEqual(sizeOf(hardware(), sizes), { ok: true, value: "a" });
  const overlapping = sizeOf(hardware(), [...sizes, size("c", cores, memory, storage)]);
  assert.equal(!overlapping.ok && overlapping.error, "sizes a, c all match: their constraints overlap");
  const none = sizeOf(hardware(), []);
  assert.match(
    none.ok ? "" : none.error,
    /^no size matches 40 cores, 68719476736 bytes of memory, .* on 2 disks, 0 GPUs$/,
  );
});

describe("an identifier", () => {
  const rows: readonly [string, string, boolean][] = [
    ["*", "", true],
    ["*", "anything", true],
    ["", "", true],
    ["", "x", false],
    ["a*", "a", true],
    ["a*c", "abbc", true],
    ["a*c", "abbcd", false],
    ["a*b*c", "axxbxbyc", true],
    ["*.raw", "xraw", false],
    ["?", "", false],
    ["a?c", "abc", true],
    ["sd[ab]", "sda", false],
    ["sd[ab]", "sd[ab]", true],
    ["**", "x", true],
  ];
  for (const [glob, text, matches] of rows) {
    test(`"${glob}" ${matches ? "takes" : "does not take"} "${text}"`, () => {
      const gpus = { cpus: [], disks: [], memory: 0n, gpus: [{ model: text }] };
      assert.equal(sizeOf(hardware(gpus), [size("s", [Type.GPU, 1n, 1n, glob])]).ok, matches);
    });
  }

  test("takes no longer than it must on a text that almost fits", () => {
    const gpus = { cpus: [], disks: [], gpus: [{ model: "a".repeat(50_000) }] };
    const glob = `${"a*".repeat(60)}b`;
    assert.equal(sizeOf(hardware(gpus), [size("s", [Type.GPU, 1n, 1n, glob])]).ok, false);
  });
});
