import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PlanResponseSchema } from "#gen/holdfast/install/v1/install_pb.ts";
import { MachineAllocationSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { networkFiles } from "./network-files.ts";
import { decodeUserdata, osFiles } from "./os-files.ts";
import { countingRandom } from "./testing/builders.ts";

const plan = {
  epoch: 7n,
  phoneHomeUrl: "http://10.0.0.1/phone-home?t=x",
  dnsServers: ["10.0.0.1"],
  ntpServers: ["10.0.0.2"],
  interfaces: [
    {
      mac: "52:54:00:77:00:01",
      mtu: 9000,
      addresses: ["10.1.0.5/24", "10.2.0.5/32"],
      routes: [
        { destination: "", gateway: "10.1.0.1" },
        { destination: "10.9.0.0/16", gateway: "10.3.0.1" },
      ],
    },
  ],
};

function files(allocation: object = {}, users: readonly string[] = ["root", "metal"]) {
  const made = osFiles(
    {
      machine: "6c2d1a4e-93b1-4a52-9a3e-111111111101",
      allocation: create(MachineAllocationSchema, {
        hostname: "web-1",
        sshPublicKeys: ["ssh-ed25519 AAAA me"],
        userdata: "aGk=",
        ...allocation,
      }),
      plan: create(PlanResponseSchema, plan),
      fstab: "UUID=1 / ext4 defaults 0 1\n",
      users: new Set(users),
    },
    countingRandom(),
  );
  return made.ok ? new Map(made.value.map((f) => [f.path, f])) : made.error;
}

function text(path: string): string {
  const all = files();
  assert.ok(typeof all !== "string");
  const content = all.get(path)?.content ?? "";
  return typeof content === "string" ? content : new TextDecoder().decode(content);
}

test("the network file matches the MAC, keeps addresses and tells the kernel of a gateway outside all prefixes", () => {
  assert.equal(
    text("/etc/systemd/network/10-holdfast-525400770001.network"),
    `[Match]
MACAddress=52:54:00:77:00:01

[Link]
MTUBytes=9000

[Network]
Address=10.1.0.5/24
Address=10.2.0.5/32
LinkLocalAddressing=no
IPv6AcceptRA=no
KeepConfiguration=static

[Route]
Gateway=10.1.0.1

[Route]
Destination=10.9.0.0/16
Gateway=10.3.0.1
GatewayOnLink=yes
`,
  );
});

test("an interface without a MAC is known by its name, which is no way into the file", () => {
  const network = (name: string) =>
    networkFiles(create(PlanResponseSchema, { interfaces: [{ name, addresses: ["10.255.0.2/32"] }] }).interfaces);
  assert.deepEqual(network("lo"), {
    ok: true,
    value: [
      {
        path: "/etc/systemd/network/10-holdfast-lo.network",
        content: `[Match]
Name=lo

[Network]
Address=10.255.0.2/32
LinkLocalAddressing=no
IPv6AcceptRA=no
KeepConfiguration=static
`,
        mode: 0o644,
      },
    ],
  });
  assert.deepEqual(network("lo\n[Network]").ok, false);
});

test("an image becomes this machine by hostname, keys, userdata, a machine id and the address to call", () => {
  assert.equal(text("/etc/hostname"), "web-1\n");
  assert.equal(text("/etc/resolv.conf"), "nameserver 10.0.0.1\n");
  assert.match(text("/etc/machine-id"), /^[0-9a-f]{32}\n$/);
  assert.equal(text("/etc/holdfast/phone-home-url"), "http://10.0.0.1/phone-home?t=x\n");
  assert.equal(text("/etc/holdfast/userdata"), "hi");
  assert.equal(text("/var/lib/cloud/seed/nocloud/user-data"), "hi");
  assert.match(text("/etc/holdfast/machine.json"), /"epoch": "7"/);
  assert.match(text("/etc/systemd/timesyncd.conf.d/holdfast.conf"), /NTP=10.0.0.2/);
});

test("keys go to root, and to the user metal where the image has one", () => {
  const [both, one] = [files(), files({}, ["root"])];
  assert.ok(typeof both !== "string" && typeof one !== "string");
  assert.equal(both.get("/home/metal/.ssh/authorized_keys")?.owner, "metal");
  assert.equal(one.has("/home/metal/.ssh/authorized_keys"), false);
  assert.equal(one.get("/root/.ssh/authorized_keys")?.mode, 0o600);
});

test("a key cannot smuggle in a second line", () => {
  const all = files({ sshPublicKeys: ["ssh-ed25519 AAAA me\ncommand=x ssh-rsa BBBB you"] });
  assert.ok(typeof all !== "string");
  assert.equal(String(all.get("/root/.ssh/authorized_keys")?.content).trim().split("\n").length, 3);
});

for (const [text, isGood] of [
  ["", true],
  ["aGk=", true],
  ["aGk", false],
  ["aGk=x", false],
  ["#cloud-config", false],
  ["a=b=", false],
] as const) {
  test(`userdata ${JSON.stringify(text)} is ${isGood ? "" : "not "}base64`, () =>
    assert.equal(decodeUserdata(text).ok, isGood));
}

test("userdata that is not base64 and a hostname that is none are refused by name", () => {
  assert.equal(files({ userdata: "#cloud-config" }), "userdata: not base64, which userdata must be");
  assert.equal(files({ hostname: "a b" }), "hostname a b: letters, digits, dots and dashes are wanted");
});
