// The boot server against other people's clients and relays, each in a network namespace of its own.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { missing, Wiring } from "./namespaces.ts";
import type { ServerJob } from "./server-main.ts";

const skip = missing({
  dhclient: "isc-dhcp-client",
  busybox: "busybox",
  dhcrelay: "isc-dhcp-relay",
  curl: "curl",
});
const folder = mkdtempSync(path.join(tmpdir(), "holdfast-peers-"));
const files = path.join(folder, "files");
const content = Buffer.from(Uint8Array.from({ length: 2_000_003 }, (_, i) => (i * 13) & 255));
const wiring = new Wiring("p");
const serverMain = path.join(import.meta.dirname, "server-main.ts");

const job: ServerJob = {
  address: "10.78.1.1",
  subnets: [
    { name: "local", prefix: "10.78.1.0/24", first: "10.78.1.100", last: "10.78.1.150", router: "10.78.1.1" },
    { name: "far", prefix: "10.78.2.0/24", first: "10.78.2.100", last: "10.78.2.150", router: "10.78.2.1" },
  ],
  diskFolder: path.join(folder, "disk"),
  filesFolder: files,
  httpPort: 8080,
};

// srv ── cli on one wire of the server; srv ── rel ── far: a relay and its client.
before(async () => {
  if (skip) return;
  mkdirSync(files);
  writeFileSync(path.join(files, "boot.efi"), content);
  for (const space of ["srv", "cli", "rel", "far"]) await wiring.space(space);
  await wiring.space("wire");
  await wiring.cable({ space: "srv", port: "e0", address: "10.78.1.1/24" }, { space: "wire", port: "s" });
  await wiring.cable({ space: "cli", port: "e0", mac: "52:54:00:78:01:01" }, { space: "wire", port: "c" });
  await wiring.cable({ space: "rel", port: "r0", address: "10.78.1.2/24" }, { space: "wire", port: "r" });
  await wiring.bridge("wire", ["s", "c", "r"]);
  await wiring.cable(
    { space: "rel", port: "r1", address: "10.78.2.1/24" },
    { space: "far", port: "e0", mac: "52:54:00:78:02:01" },
  );
  await wiring.route("srv", "10.78.2.0/24", "10.78.1.2");
  await wiring.start("srv", process.execPath, ["--import", "tsx", serverMain, JSON.stringify(job)], /^ready$/m);
});
after(async () => {
  await wiring.close();
  rmSync(folder, { recursive: true });
});

/** udhcpc's own output, and the variables it hands to its script. */
async function udhcpc(space: string, ...more: readonly string[]): Promise<string> {
  const script = path.join(folder, "udhcpc.sh");
  writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] && env | sort\nexit 0\n', { mode: 0o755 });
  const args = ["udhcpc", "-i", "e0", "-q", "-n", "-f", "-t", "5", "-T", "1", "-s", script, ...more];
  return wiring.run(space, "busybox", args);
}

test("busybox udhcpc gets a lease with all that the subnet says", { skip }, async () => {
  const said = await udhcpc("cli");
  assert.match(said, /lease of 10\.78\.1\.100 obtained from 10\.78\.1\.1/);
  for (const line of ["ip=10.78.1.100", "subnet=255.255.255.0", "router=10.78.1.1", "lease=3600", "serverid=10.78.1.1"])
    assert.match(said, new RegExp(`^${line.replaceAll(".", "\\.")}$`, "m"));
});

test("a PXE client gets its boot file, and one MAC keeps its address whatever it calls itself", { skip }, async () => {
  const said = await udhcpc("cli", "-V", "PXEClient:Arch:00007:UNDI:003016", "-x", "0x5d:0007", "-O", "bootfile", "-C");
  assert.match(said, /^ip=10\.78\.1\.100$/m);
  assert.match(said, /^boot_file=snponly\.efi$/m);
  assert.match(said, /^siaddr=10\.78\.1\.1$/m);
});

test("ISC dhclient gets the same address, and gives it back", { skip }, async () => {
  const leases = path.join(folder, "dhclient.leases");
  const common = ["-4", "-sf", "/bin/true", "-lf", leases, "-pf", path.join(folder, "dhclient.pid"), "e0"];
  const said = await wiring.run("cli", "dhclient", ["-v", "-1", ...common]);
  assert.match(said, /DHCPACK of 10\.78\.1\.100 from 10\.78\.1\.1/);
  assert.match(readFileSync(leases, "utf8"), /fixed-address 10\.78\.1\.100;/);
  assert.match(await wiring.run("cli", "dhclient", ["-v", "-r", ...common]), /DHCPRELEASE of 10\.78\.1\.100/);
});

test("a client behind ISC dhcrelay with option 82 gets an address of its own subnet", { skip }, async () => {
  const args = ["-d", "-4", "-a", "-m", "replace", "-id", "r1", "-iu", "r0", "10.78.1.1"];
  await wiring.start("rel", "dhcrelay", args, /Socket\/fallback|Sending on/);
  const said = await udhcpc("far");
  assert.match(said, /lease of 10\.78\.2\.100 obtained from 10\.78\.1\.1/);
  assert.match(said, /^router=10\.78\.2\.1$/m);
});

/** The client has an address for the rest: the tests above do not set it. */
const curl = async (...args: readonly string[]) => {
  await wiring.run("cli", "ip", ["addr", "replace", "10.78.1.100/24", "dev", "e0"]);
  const out = path.join(folder, "out");
  rmSync(out, { force: true });
  const said = await wiring.run("cli", "curl", ["-sS", "-m", "15", "-o", out, "-w", "%{http_code}", ...args]);
  return { said, bytes: readFileSync(out) };
};
test("the npm client `dhcp` reads our offer (its REQUEST names neither server nor address, so it goes no further)", {
  skip,
}, async () => {
  const script = `
    const client = require("dhcp").createClient({ mac: "52:54:00:78:01:09" });
    client.on("message", ({ yiaddr, options }) => {
      console.log(yiaddr, options[53], options[54], options[51], options[1], options[3]);
      process.exit(0);
    });
    client.on("listening", () => setImmediate(() => client.sendDiscover()));
    client.listen();
  `;
  await wiring.run("cli", "ip", ["addr", "replace", "10.78.1.99/24", "dev", "e0"]);
  await wiring.route("cli", "default", "10.78.1.1");
  assert.match(
    await wiring.run("cli", process.execPath, ["-e", script]),
    /^10\.78\.1\.10\d 2 10\.78\.1\.1 3600 255\.255\.255\.0 .*10\.78\.1\.1/m,
  );
});

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("curl and busybox read a file by TFTP, with and without options", { skip }, async () => {
  for (const options of [[], ["--tftp-blksize", "1468"], ["--tftp-no-options"]]) {
    const { bytes } = await curl(...options, "tftp://10.78.1.1/boot.efi");
    assert.equal(digest(bytes), digest(content));
  }
  const out = path.join(folder, "busybox.out");
  await wiring.run("cli", "busybox", ["tftp", "-g", "-b", "1428", "-r", "boot.efi", "-l", out, "10.78.1.1"]);
  assert.equal(digest(readFileSync(out)), digest(content));
});

test("curl reads a file by HTTP, whole and in parts", { skip }, async () => {
  const url = "http://10.78.1.1:8080/boot/boot.efi";
  const whole = await curl(url);
  assert.deepEqual([whole.said, digest(whole.bytes)], ["200", digest(content)]);
  const part = await curl("-r", "1000000-1000009", url);
  assert.deepEqual([part.said, part.bytes], ["206", content.subarray(1_000_000, 1_000_010)]);
});
