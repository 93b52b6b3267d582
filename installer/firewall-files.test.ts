import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { IPProtocol, MachineAllocationSchema, MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NATType, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { nftablesConfig } from "./firewall-files.ts";

type Allocation = Omit<MessageInitShape<typeof MachineAllocationSchema>, "$typeName">;

const { IP_PROTOCOL_TCP: tcp, IP_PROTOCOL_UDP: udp } = IPProtocol;
const firewall: Allocation = {
  allocationType: MachineAllocationType.FIREWALL,
  networks: [
    { networkType: NetworkType.CHILD, prefixes: ["10.0.0.0/22", "fd00:1::/64"], ips: ["10.0.0.2", "fd00:1::2"] },
    { networkType: NetworkType.CHILD_SHARED, prefixes: ["10.0.4.0/22"], ips: ["10.0.4.2"] },
    {
      networkType: NetworkType.EXTERNAL,
      natType: NATType.NAT_TYPE_IPV4_MASQUERADE,
      prefixes: ["192.0.2.0/24"],
      destinationPrefixes: ["0.0.0.0/0"],
      ips: ["192.0.2.2"],
    },
    { networkType: NetworkType.UNDERLAY, prefixes: ["10.255.0.0/24"], ips: ["10.255.0.2"] },
  ],
  firewallRules: {
    egress: [
      { protocol: tcp, ports: [80, 443], to: ["0.0.0.0/0", "198.51.100.0/24"], comment: "the web" },
      { protocol: udp, ports: [53], to: ["2001:db8::53/128"] },
    ],
    ingress: [
      { protocol: tcp, ports: [443], from: ["0.0.0.0/0"], to: ["10.0.0.16/28"], comment: "front" },
      { protocol: tcp, ports: [22], from: ["2001:db8::/32"] },
    ],
  },
};
const config = (allocation: Allocation) => nftablesConfig(create(MachineAllocationSchema, allocation));

const golden = `#!/usr/sbin/nft -f
# Written by Holdfast when the firewall was installed. Comes into force with: systemctl reload nftables
flush ruleset

table inet holdfast {
	chain input {
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		ct state established,related accept
		ct state invalid drop
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 22 accept
		ip6 saddr fe80::/10 tcp dport 179 accept
		ip daddr { 10.255.0.2 } udp dport 4789 accept
	}

	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		ip saddr { 10.0.0.0/22, 10.0.4.0/22 } ip daddr { 0.0.0.0/0, 198.51.100.0/24 } tcp dport { 80, 443 } accept comment "the web"
		ip6 saddr { fd00:1::/64 } ip6 daddr { 2001:db8::53/128 } udp dport { 53 } accept
		ip saddr { 0.0.0.0/0 } ip daddr { 10.0.0.16/28 } tcp dport { 443 } accept comment "front"
		ip6 saddr { 2001:db8::/32 } ip6 daddr { fd00:1::/64 } tcp dport { 22 } accept
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr { 10.0.0.0/22, 10.0.4.0/22 } ip daddr != { 10.0.0.0/22, 10.0.4.0/22 } ip daddr { 0.0.0.0/0 } snat ip to 192.0.2.2
	}
}
`;

test("a firewall's rules are one file: what is asked for passes, from and to what is behind it, and all else is dropped", () => {
  assert.deepEqual(config(firewall), { ok: true, value: golden });
});

test("a firewall without rules lets nothing through, and without translation changes no addresses", () => {
  const { networks = [] } = firewall;
  const made = config({ ...firewall, firewallRules: {}, networks: networks.map((n) => ({ ...n, natType: 0 })) });
  assert.ok(made.ok);
  const forward = /chain forward \{\n([^}]*)\}/.exec(made.value)?.[1];
  assert.deepEqual(forward?.match(/accept/g)?.length, 1, "of what is established already");
  assert.doesNotMatch(made.value, /snat/);
});

test("addresses and prefixes are written in their canonical text, whichever they came in", () => {
  const { networks = [] } = firewall;
  const loose = (texts: readonly string[] | undefined) =>
    texts?.map((text) => text.replace("fd00:1::", "FD00:0001:0::").replace("2001:db8::", "2001:0DB8:0:0::")) ?? [];
  const { egress = [], ingress = [] } = firewall.firewallRules ?? {};
  const made = config({
    ...firewall,
    networks: networks.map((n) => ({ ...n, prefixes: loose(n.prefixes), ips: loose(n.ips) })),
    firewallRules: {
      egress: egress.map((r) => ({ ...r, to: loose(r.to) })),
      ingress: ingress.map((r) => ({ ...r, from: loose(r.from), to: loose(r.to) })),
    },
  });
  assert.deepEqual(made, { ok: true, value: golden });
});

test("what is no address or no comment gets into no file, and it is said where it stands", () => {
  const rule = { protocol: tcp, ports: [22], from: ["10.0.0.0/8"], to: ["10.0.0.0/8"] };
  const withRule = (more: object) => config({ ...firewall, firewallRules: { egress: [{ ...rule, ...more }] } });
  const inward = (more: object) => config({ ...firewall, firewallRules: { ingress: [{ ...rule, ...more }] } });
  const withNetwork = (more: object) => config({ ...firewall, networks: [{ network: "internet", ...more }] });
  const bad = ["0.0.0.0/0 } accept", "1.2.3.4.5/8", "10.0.0.1/8", "::/129", "fe80::1%eth0/64", "", ":", "10.0.0.0"];
  for (const [where, ...made] of [
    ["egress rule 1", ...bad.map((to) => withRule({ to: ["10.0.0.0/8", to] }))],
    ["ingress rule 1", ...bad.flatMap((text) => [inward({ from: [text] }), inward({ to: [text] })])],
    ["prefixes of network internet", ...bad.map((prefix) => withNetwork({ prefixes: [prefix] }))],
    ["destinations of network internet", ...bad.map((prefix) => withNetwork({ destinationPrefixes: [prefix] }))],
    [
      "addresses in network internet",
      ...["10.0.0.0/8", "::1%lo", "10.0.0.256"].map((ip) => withNetwork({ ips: [ip] })),
    ],
  ] as const)
    for (const one of made) {
      assert.equal(one.ok, false);
      assert.match(one.error, new RegExp(`^firewall: ${where}: `));
    }
  assert.equal(withRule({ comment: 'x" accept' }).ok, false);
});

const nft = "/usr/sbin/nft";
const skip = !existsSync(nft) ? "nftables is not installed" : process.getuid?.() !== 0 ? "root is needed" : false;
test("nftables takes the file", { skip }, () => {
  const checked = spawnSync("unshare", ["--net", nft, "-c", "-f", "-"], { input: golden, encoding: "utf8" });
  assert.deepEqual([checked.status, checked.stderr], [0, ""]);
});
