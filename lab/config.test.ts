import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import * as v from "valibot";
import { agentConfigSchema } from "#agent/config.ts";
import { centralConfigSchema } from "#central/config.ts";
import { bootScript, compare, dnsmasqConfig, median } from "./baseline.ts";
import { agentConfig, centralConfig } from "./daemons.ts";
import { diskHolds, hasPartitionTable } from "./disk.ts";
import { networkCommands } from "./network.ts";
import { parseLabOptions } from "./options.ts";
import { missingPackages, neededPackages } from "./packages.ts";
import { type LabPlan, labPlan } from "./plan.ts";
import { qemuCommand } from "./qemu.ts";
import { duration, tableLines } from "./view.ts";

const plan = ((): LabPlan => {
  const parsed = parseLabOptions(["--dir", "/lab"], 1);
  assert(parsed.ok && parsed.value !== "help");
  return labPlan(parsed.value);
})();

test("the network is one bridge with a tap per server, and addresses on loopback", () => {
  assert.deepEqual(
    networkCommands(plan).filter((line) => /10\.77|tap1/.test(line)),
    [
      "addr add 10.77.0.1/24 dev prov",
      "tuntap add dev tap1 mode tap",
      "link set tap1 master prov",
      "link set tap1 up",
      "addr add 10.77.2.1/32 dev lo",
      "addr add 10.77.1.1/32 dev lo",
      "addr add 10.77.1.11/32 dev lo",
      "addr add 10.77.1.12/32 dev lo",
    ],
  );
});

test("the agent is told its network, its BMCs and its switch ports", () => {
  const config = v.parse(agentConfigSchema, agentConfig(plan));
  assert.deepEqual(config.boot.subnets[0]?.network, "10.77.0.0/24");
  assert.deepEqual(config.bmc.ranges, ["10.77.1.11-10.77.1.12"]);
  assert.deepEqual(config.switch?.ports, ["tap1", "tap2"]);
  assert.deepEqual(config.central, { joinTokenFile: "/lab/agent/join-token" });
  const central = v.parse(centralConfigSchema, centralConfig(plan, { kind: "embedded", folder: "/x" }));
  assert.deepEqual(central.listen, { host: "10.77.2.1", port: 8081 });
  assert.deepEqual(central.tls?.names, ["10.77.2.1"]);
});

test("a server starts from its disk first, and from the network first when its BMC says so", () => {
  const order = (boot: "default" | "pxe") =>
    qemuCommand(plan.machines[0]!, boot, false)
      .filter((word) => word.includes("bootindex"))
      .map((word) => `${word.split("-")[1]} ${word.slice(-1)}`);
  assert.deepEqual(order("default"), ["net 2", "blk 1"]);
  assert.deepEqual(order("pxe"), ["net 1", "blk 2"]);
});

test("only UEFI servers get UEFI firmware", () => {
  const [bios, uefi] = plan.machines.map((m) => qemuCommand(m, "pxe", false).join(" "));
  assert.doesNotMatch(bios!, /OVMF/);
  assert.match(uefi!, /OVMF.*IPv6PXESupport,string=no/);
});

test("packages of a flag are wanted only with that flag", () => {
  const every = { etcd: true, baseline: true, autonomy: true };
  const none = { etcd: false, baseline: false, autonomy: false };
  const names = (wanted: typeof every) => missingPackages(wanted, () => false).map((p) => p.name);
  const all = names(every);
  assert.equal(all.length, neededPackages.length);
  assert.deepEqual(
    all.filter((n) => !names(none).includes(n)),
    ["ipmitool", "etcd-server", "nftables"],
  );
  assert.deepEqual(
    missingPackages(every, () => true),
    [],
  );
});

test("the baseline's iPXE script leaves the machine's address to iPXE", () => {
  assert.match(bootScript(plan), /lab\.phone-home=http:\/\/10\.77\.0\.1:8082\/phone-home\/\$\{net0\/mac\} /);
});

test("the baseline's dnsmasq gives every server an address of its own", () => {
  assert.deepEqual(
    dnsmasqConfig(plan)
      .split("\n")
      .filter((line) => line.startsWith("dhcp-host")),
    ["dhcp-host=52:54:00:77:00:01,10.77.0.100", "dhcp-host=52:54:00:77:00:02,10.77.0.101"],
  );
});

test("sides are compared by the median of their rounds' means", () => {
  const round = (...seconds: number[]) => new Map(seconds.map((s, i) => [`m${i + 1}`, s]));
  const result = compare([
    { handMade: round(40, 60), ours: round(44, 66) },
    { handMade: round(38, 58), ours: round(50, 70) },
    { handMade: round(90, 90), ours: round(40, 60) },
  ]);
  assert.deepEqual(result, { handMade: 50, ours: 55, ratio: 1.1 });
  assert.equal(median([1, 4, 2, 3]), 2.5);
});

test("a table is no wider than the terminal", () => {
  const row = { name: "m1", firmware: "bios", power: "on", stage: "waiting", seconds: 75, detail: "for an allocation" };
  assert.deepEqual(tableLines([row, { ...row, name: "m2 beta", power: "off", seconds: undefined }], 64), [
    "MACHINE  FIRMWARE  POWER  STAGE    SINCE  WHAT",
    "m1       bios      on     waiting  1m15s  for an allocation",
    "m2 beta  bios      off    waiting         for an allocation",
  ]);
  assert(tableLines([row], 20).every((line) => line.length <= 20));
  assert.deepEqual([9, 61, 3700].map(duration), ["9s", "1m01s", "1h01m"]);
});

test("what a tenant wrote is found on a disk wherever it lies", async () => {
  const folder = mkdtempSync("/tmp/holdfast-disk-");
  try {
    const file = path.join(folder, "disk.img");
    const content = Buffer.alloc(3 << 20);
    content.write("EFI PART", 512);
    content.write("secret", (1 << 20) - 3);
    writeFileSync(file, content);
    assert.equal(await diskHolds(file, Buffer.from("secret")), true);
    assert.equal(await diskHolds(file, Buffer.from("other secret")), false);
    assert.equal(await hasPartitionTable(file), true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
