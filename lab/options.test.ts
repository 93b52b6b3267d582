import assert from "node:assert/strict";
import { test } from "node:test";
import { type LabOptions, parseLabOptions } from "./options.ts";
import { labPlan } from "./plan.ts";

const options = (...args: string[]): LabOptions => {
  const parsed = parseLabOptions(args, 42);
  assert(parsed.ok && parsed.value !== "help");
  return parsed.value;
};

test("without flags the lab is two servers, one BIOS and one UEFI, and stays", () => {
  const plain = options();
  assert.equal(plain.task, "stay");
  assert.equal(plain.name, "hf-lab-42");
  assert.deepEqual(
    labPlan(plain).machines.map((m) => [m.name, m.firmware, m.mac, m.tap, m.bmcAddress]),
    [
      ["m1", "bios", "52:54:00:77:00:01", "tap1", "10.77.1.11"],
      ["m2", "uefi", "52:54:00:77:00:02", "tap2", "10.77.1.12"],
    ],
  );
});

test("an unknown flag is refused by its name", () => {
  const parsed = parseLabOptions(["--demmo"], 1);
  assert(!parsed.ok);
  assert.match(parsed.error[0] ?? "", /--demmo/);
});

test("all problems of a command line are told at once", () => {
  const parsed = parseLabOptions(
    ["--machines", "0", "--firmware", "coreboot", "--provisioning", "10.0.0.1/24", "--demo", "--baseline"],
    1,
  );
  assert(!parsed.ok);
  assert.deepEqual(parsed.error, [
    "--demo and --baseline: one of them is wanted",
    "--machines 0: a whole number from 1 to 50 is wanted",
    "--firmware coreboot: bios, uefi or mixed is wanted",
    "--provisioning IPv4 prefix 10.0.0.1/24: bits are set beyond /24; 10.0.0.0/24 is meant",
  ]);
});

test("other networks move every address of the lab", () => {
  const plan = labPlan(
    options("--provisioning", "192.168.40.0/25", "--management", "192.168.41.0/24", "--machines", "3"),
  );
  assert.deepEqual(
    { ...plan.provisioning, prefix: undefined },
    { bridge: "prov", prefix: undefined, address: "192.168.40.1", from: "192.168.40.64", to: "192.168.40.126" },
  );
  assert.deepEqual(plan.management, { address: "192.168.41.1", firstBmc: "192.168.41.11", lastBmc: "192.168.41.13" });
});
