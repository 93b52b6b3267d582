// kill -9 of the boot server while perfdhcp drives 1,000 leases a second: what was acknowledged on the wire is in the store.
// The wire is the witness (tcpdump at the client's end), not the server.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { LmdbDisk } from "#lib/io/lmdb-disk.ts";
import { silentLog } from "#lib/log.ts";
import { ipv4Text } from "#lib/net/ipv4.ts";
import { macOf } from "#lib/net/mac.ts";
import { decodeDhcp } from "#pxe-boot/dhcp/codec.ts";
import { DiskLeases } from "#pxe-boot/dhcp/disk-leases.ts";
import { messageTypeOf } from "#pxe-boot/dhcp/options.ts";
import { missing, stop, Wiring } from "./namespaces.ts";
import type { ServerJob } from "./server-main.ts";

const skip = missing({ perfdhcp: "kea-admin", tcpdump: "tcpdump" });
const folder = mkdtempSync(path.join(tmpdir(), "holdfast-durable-"));
const serverMain = path.join(import.meta.dirname, "server-main.ts");
const wiring = new Wiring("d");
after(async () => {
  await wiring.close();
  rmSync(folder, { recursive: true });
});

const job: ServerJob = {
  address: "10.128.0.1",
  subnets: [{ name: "wide", prefix: "10.128.0.0/12", first: "10.129.0.1", last: "10.132.255.254" }],
  diskFolder: path.join(folder, "disk"),
  filesFolder: path.join(folder, "files"),
};

const startServer = () =>
  wiring.start("srv", process.execPath, ["--import", "tsx", serverMain, JSON.stringify(job)], /^ready$/m);

/** perfdhcp as a relay of 60,000 clients, for some seconds. */
const drive = (rate: number, seconds: number) =>
  wiring.run(
    "cli",
    "perfdhcp",
    ["-4", "-r", String(rate), "-R", "60000", "-p", String(seconds), "-g", "single", "-l", "10.128.0.2", "10.128.0.1"],
    60_000,
  );

async function capture(name: string): Promise<() => Promise<ReadonlyMap<string, string>>> {
  const file = path.join(folder, name);
  const filter = ["udp", "and", "src", "host", "10.128.0.1"];
  const args = ["-i", "e0", "-n", "-U", "-B", "16384", "-Z", "root", "-w", file, ...filter];
  const tcpdump = await wiring.start("cli", "tcpdump", args, /listening on/);
  return async () => {
    await stop(tcpdump, "SIGINT");
    return acknowledged(readFileSync(file));
  };
}

/**
 * MAC by address of every ACK in a capture.
 * @param pcap little-endian, of Ethernet: header (24), then records of header (16: seconds, µs, captured, original) and frame
 */
function acknowledged(pcap: Buffer): ReadonlyMap<string, string> {
  assert.equal(pcap.readUInt32LE(0), 0xa1b2c3d4);
  const held = new Map<string, string>();
  for (let at = 24; at + 16 <= pcap.length; ) {
    const length = pcap.readUInt32LE(at + 8);
    const frame = pcap.subarray(at + 16, at + 16 + length);
    at += 16 + length;
    const message = decodeDhcp(frame.subarray(14 + 20 + 8));
    if (!message.ok || messageTypeOf(message.value.options) !== "ack") continue;
    const address = ipv4Text(message.value.yiaddr);
    const mac = macOf(message.value.hardwareAddress);
    assert.equal(held.get(address) ?? mac, mac, `${address} was acknowledged to two clients`);
    held.set(address, mac);
  }
  return held;
}

async function stored(): Promise<ReadonlyMap<string, string>> {
  const disk = new LmdbDisk(job.diskFolder);
  const leases = Array.from(new DiskLeases(disk, silentLog).load(), (l) => [ipv4Text(l.address), l.holder] as const);
  await disk.close();
  return new Map(leases);
}

test("a server killed under 1,000 leases a second has every lease that it acknowledged", { skip }, async (t) => {
  mkdirSync(job.filesFolder);
  for (const space of ["srv", "cli"]) await wiring.space(space);
  await wiring.cable(
    { space: "srv", port: "e0", address: "10.128.0.1/12" },
    { space: "cli", port: "e0", address: "10.128.0.2/12" },
  );
  const first = await startServer();
  const firstCapture = await capture("first.pcap");
  const driving = drive(1000, 4);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  await stop(first, "SIGKILL");
  await driving;
  const before = await firstCapture();
  assert.equal(before.size > 100, true, `only ${before.size} leases were acknowledged before the kill`);

  const second = await startServer();
  const secondCapture = await capture("second.pcap");
  await drive(500, 1);
  const later = await secondCapture();
  await stop(second, "SIGTERM");

  const kept = await stored();
  const lost = Array.from(before).filter(([address, mac]) => kept.get(address) !== mac);
  assert.deepEqual(lost, [], `${lost.length} of ${before.size} acknowledged leases are lost`);
  assert.equal(later.size > 0, true, "the server serves again after the kill");
  for (const [address, mac] of later)
    assert.equal(before.get(address) ?? mac, mac, `${address} was given away again after the kill`);
  t.diagnostic(`${before.size} leases acknowledged before the kill, ${later.size} after, ${kept.size} stored`);
});
