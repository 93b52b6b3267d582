// What makes an image a firewall: it forwards, and nftables says what. Rules go by addresses, not by interfaces, so they hold however
// the networks reach the machine. @source nft(8)
import {
  type FirewallEgressRule,
  type FirewallIngressRule,
  IPProtocol,
  type MachineAllocation,
  MachineAllocationType,
  type MachineNetwork,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { NATType, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { addressText, parseAddress, parsePrefix, prefixText, textFamily } from "#lib/net/prefix.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { OsFile } from "./os-files.ts";

export const isFirewall = ({ allocationType }: MachineAllocation): boolean =>
  allocationType === MachineAllocationType.FIREWALL;

/** The unit that loads the rules before any network is up: what to link, and to what. It comes with Debian's package nftables. */
export const nftablesUnit = {
  link: "/etc/systemd/system/sysinit.target.wants/nftables.service",
  target: "/lib/systemd/system/nftables.service",
  program: { folder: "/usr/sbin", name: "nft" },
};

export function firewallFiles(allocation: MachineAllocation): Result<readonly OsFile[]> {
  const rules = nftablesConfig(allocation);
  if (!rules.ok) return rules;
  return ok([
    { path: "/etc/nftables.conf", content: rules.value, mode: 0o644 },
    {
      path: "/etc/sysctl.d/90-holdfast-firewall.conf",
      content: "net.ipv4.ip_forward=1\nnet.ipv6.conf.all.forwarding=1\n",
      mode: 0o644,
    },
  ]);
}

type NftFamily = "ip" | "ip6";
const families: readonly NftFamily[] = ["ip", "ip6"];
const familyOf = (text: string): NftFamily => (textFamily(text) === 6 ? "ip6" : "ip");

const isPrivate = ({ networkType }: MachineNetwork): boolean =>
  networkType === NetworkType.CHILD || networkType === NetworkType.CHILD_SHARED;

/** Prefixes of the private networks, by family: what is behind the firewall. */
type Behind = (family: NftFamily) => readonly string[];

/** The whole of /etc/nftables.conf. Values go into a file of a syntax: addresses as they are written again, comments as they are checked. */
export function nftablesConfig(allocation: MachineAllocation): Result<string> {
  const canonical = canonized(allocation);
  if (!canonical.ok) return canonical;
  const { networks, egress, ingress } = canonical.value;
  const badComment = [...egress, ...ingress].find((r) => !/^[a-z_ -]{0,100}$/.test(r.comment));
  if (badComment) return fail(`firewall: ${badComment.comment} is no comment of a rule`);
  const all = networks.filter(isPrivate).flatMap((n) => n.prefixes);
  const behind: Behind = (family) => all.filter((prefix) => familyOf(prefix) === family);
  const forward = [...egress.flatMap((r) => outward(r, behind)), ...ingress.flatMap((r) => inward(r, behind))];
  const underlay = networks.filter((n) => n.networkType === NetworkType.UNDERLAY).flatMap((n) => n.ips);
  return ok(fileOf({ input: inputOf(underlay), forward, translate: networks.flatMap((n) => masquerade(n, behind)) }));
}

interface Canonical {
  readonly networks: readonly MachineNetwork[];
  readonly egress: readonly FirewallEgressRule[];
  readonly ingress: readonly FirewallIngressRule[];
}

/** Every address and prefix in its one canonical text. */
function canonized({ networks, firewallRules }: MachineAllocation): Result<Canonical> {
  let wrong: string | undefined;
  const each = (where: string, texts: readonly string[], canonical: (text: string) => Result<string>) =>
    texts.flatMap((text) => {
      const read = canonical(text);
      if (read.ok) return [read.value];
      wrong ??= `firewall: ${where}: ${read.error}`;
      return [];
    });
  const prefixes = (where: string, texts: readonly string[]) => each(where, texts, canonicalPrefix);
  const value = {
    networks: networks.map((one) => ({
      ...one,
      prefixes: prefixes(`prefixes of network ${one.network}`, one.prefixes),
      destinationPrefixes: prefixes(`destinations of network ${one.network}`, one.destinationPrefixes),
      ips: each(`addresses in network ${one.network}`, one.ips, canonicalAddress),
    })),
    egress: (firewallRules?.egress ?? []).map((one, i) => ({ ...one, to: prefixes(`egress rule ${i + 1}`, one.to) })),
    ingress: (firewallRules?.ingress ?? []).map((one, i) => ({
      ...one,
      from: prefixes(`ingress rule ${i + 1}`, one.from),
      to: prefixes(`ingress rule ${i + 1}`, one.to),
    })),
  };
  return wrong === undefined ? ok(value) : fail(wrong);
}

function canonicalPrefix(text: string): Result<string> {
  const read = parsePrefix(text);
  return read.ok ? ok(prefixText(read.value)) : read;
}

function canonicalAddress(text: string): Result<string> {
  const read = parseAddress(text);
  return read.ok ? ok(addressText(read.value)) : read;
}

/** From what is behind the firewall to where the rule leads. */
const outward = (rule: FirewallEgressRule, behind: Behind): string[] =>
  families.flatMap((family) => passing(family, { ...rule, from: behind(family) }));

/** To what the rule names behind the firewall, else to all of it. */
const inward = (rule: FirewallIngressRule, behind: Behind): string[] =>
  families.flatMap((family) => passing(family, { ...rule, to: rule.to.length > 0 ? rule.to : behind(family) }));

interface Passing {
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly protocol: IPProtocol;
  readonly ports: readonly number[];
  readonly comment: string;
}

function passing(family: NftFamily, rule: Passing): string[] {
  const ours = (prefixes: readonly string[]) => prefixes.filter((p) => familyOf(p) === family);
  const [from, to] = [ours(rule.from), ours(rule.to)];
  if (from.length === 0 || to.length === 0) return [];
  const protocol = rule.protocol === IPProtocol.IP_PROTOCOL_UDP ? "udp" : "tcp";
  const comment = rule.comment === "" ? "" : ` comment "${rule.comment}"`;
  const addresses = `${family} saddr ${set(from)} ${family} daddr ${set(to)}`;
  return [`${addresses} ${protocol} dport ${set(rule.ports.map(String))} accept${comment}`];
}

const set = (elements: readonly string[]): string => `{ ${[...new Set(elements)].join(", ")} }`;

/** People by SSH, and the fabric: its routing sessions and tunnels, should the image have a routing daemon. */
const inputOf = (underlay: readonly string[]): string[] => [
  "tcp dport 22 accept",
  "ip6 saddr fe80::/10 tcp dport 179 accept",
  ...(underlay.length > 0 ? [`ip daddr ${set(underlay)} udp dport 4789 accept`] : []),
];

/** What leaves for a network with address translation does so under the firewall's first address there. */
function masquerade(network: MachineNetwork, behind: Behind): string[] {
  const address = network.ips.find((ip) => familyOf(ip) === "ip");
  const inside = behind("ip");
  if (network.natType !== NATType.NAT_TYPE_IPV4_MASQUERADE || isPrivate(network)) return [];
  if (address === undefined || inside.length === 0) return [];
  const outside = network.destinationPrefixes.filter((prefix) => familyOf(prefix) === "ip");
  const to = set(outside.length > 0 ? outside : ["0.0.0.0/0"]);
  return [`ip saddr ${set(inside)} ip daddr != ${set(inside)} ip daddr ${to} snat ip to ${address}`];
}

interface Chains {
  readonly input: readonly string[];
  readonly forward: readonly string[];
  readonly translate: readonly string[];
}

/** What is related is errors about packets that were let through, which path MTU discovery needs. */
const known = ["ct state established,related accept", "ct state invalid drop"];

const fileOf = ({ input, forward, translate }: Chains): string =>
  [
    "#!/usr/sbin/nft -f",
    "# Written by Holdfast when the firewall was installed. Comes into force with: systemctl reload nftables",
    "flush ruleset",
    "",
    "table inet holdfast {",
    ...chain("input", "type filter hook input priority filter; policy drop;", [
      'iifname "lo" accept',
      ...known,
      // Neighbours are found by it. @source RFC 4890 §4.4
      "meta l4proto { icmp, ipv6-icmp } accept",
      ...input,
    ]),
    "",
    ...chain("forward", "type filter hook forward priority filter; policy drop;", [...known, ...forward]),
    "",
    ...chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", translate),
    "}",
    "",
  ].join("\n");

const chain = (name: string, kind: string, rules: readonly string[]): string[] => [
  `\tchain ${name} {`,
  ...[kind, ...rules].map((line) => `\t\t${line}`),
  "\t}",
];
