import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { type Output, run } from "./process.ts";

// ipmi_sim and ipmitool for real, in a namespace of its own; the server is a process that sleeps.

const missing = [
  [process.getuid?.() === 0, "network namespaces need root"],
  [existsSync("/usr/bin/ipmi_sim"), "ipmi_sim is not installed (apt-get install openipmi)"],
  [existsSync("/usr/bin/ipmitool"), "ipmitool is not installed (apt-get install ipmitool)"],
  [existsSync("/usr/sbin/ip"), "ip is not installed (apt-get install iproute2)"],
].find(([isThere]) => !isThere)?.[1] as string | undefined;

interface Report {
  readonly call: string;
  readonly said: Output;
  readonly sights: readonly string[];
}

describe("a BMC of the lab", { skip: missing ?? false }, () => {
  const namespace = `hf-bmc-test-${process.pid}`;
  const folder = mkdtempSync("/tmp/holdfast-bmc-");
  let reports: readonly Report[] = [];

  before(async () => {
    await run(["ip", "netns", "add", namespace]);
    const script = path.join(import.meta.dirname, "testing/drive-bmc-main.ts");
    const command = ["ip", "netns", "exec", namespace, process.execPath, "--import", "tsx", script, folder];
    reports = JSON.parse(await run(command, { deadlineMs: 60_000 })) as readonly Report[];
  });

  after(async () => {
    await run(["ip", "netns", "del", namespace]);
    rmSync(folder, { recursive: true, force: true });
  });

  const reportOf = (call: string): Report => {
    const report = reports.find((r) => r.call === call);
    assert(report, `${call} was not called`);
    return report;
  };

  test("sends the System GUID that the server's firmware shows as its UUID, in SMBIOS order", () => {
    // 8114b1b4-ad4a-8d77-abf5-a42800006e61
    assert.equal(reportOf("raw 6 0x37").said.stdout.trim(), "b4 b1 14 81 4a ad 77 8d ab f5 a4 28 00 00 6e 61");
  });

  test("tells the server's serial number", () => {
    assert.match(reportOf("fru print 0").said.stdout, /Product Serial +: HF-LAB-0001/);
  });

  test("starts the server from the network once, then from its disk", () => {
    assert.deepEqual(reportOf("power on").sights, ["on pxe"]);
    assert.deepEqual(reportOf("power reset").sights, ["off", "on default"]);
  });

  test("leaves a running server alone when it is told to switch it on", () => {
    assert.deepEqual(reportOf("power on again").sights, []);
    assert.match(reportOf("power status").said.stdout, /is on/);
  });

  test("notices that a server went away by itself", () => {
    assert.match(reportOf("power status after its end").said.stdout, /is off/);
  });

  test("refuses a wrong password", () => {
    assert.notEqual(reportOf("wrong password").said.exit.code, 0);
  });

  test("lights and puts out the identify lamp", () => {
    assert.equal(reportOf("identify").sights.at(-1), "lamp on");
    assert.equal(reportOf("identify off").sights.at(-1), "lamp off");
  });
});
