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

test("what is no address or no comment gets into no file", () => {
  const rule = { protocol: tcp, ports: [22], to: ["10.0.0.0/8"] };
  const withRule = (more: object) => config({ ...firewall, firewallRules: { egress: [{ ...rule, ...more }] } });
  assert.deepEqual(withRule({ to: ["0.0.0.0/0 } accept"] }), {
    ok: false,
    error: "firewall: 0.0.0.0/0 } accept is no address",
  });
  assert.equal(withRule({ comment: 'x" accept' }).ok, false);
});

const nft = "/usr/sbin/nft";
const skip = !existsSync(nft) ? "nftables is not installed" : process.getuid?.() !== 0 ? "root is needed" : false;
test("nftables takes the file", { skip }, () => {
  const checked = spawnSync("unshare", ["--net", nft, "-c", "-f", "-"], { input: golden, encoding: "utf8" });
  assert.deepEqual([checked.status, checked.stderr], [0, ""]);
});
