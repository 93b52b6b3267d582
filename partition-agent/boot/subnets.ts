import type { Ipv4, Ipv4Prefix } from "#lib/net/ipv4.ts";
import { parseIpv4, parseIpv4Prefix } from "#lib/net/ipv4.ts";
import { checked } from "#lib/result.ts";
import type { Subnet } from "#pxe-boot/dhcp/subnet.ts";
import type { BootServerConfig } from "#pxe-boot/io/boot-server.ts";
import type { AgentConfig } from "../config.ts";

type SubnetConfig = AgentConfig["boot"]["subnets"][number];

/** The boot server's configuration from the agent's, whose texts have been checked. */
export const bootServerConfig = ({ boot }: AgentConfig, url: string): BootServerConfig => ({
  address: checked(parseIpv4(boot.address)),
  subnets: boot.subnets.map(subnetOf),
  httpBase: `${url}/boot/`,
});

function subnetOf(subnet: SubnetConfig): Subnet {
  const prefix: Ipv4Prefix = checked(parseIpv4Prefix(subnet.network));
  const addresses = (texts: readonly string[]): readonly Ipv4[] => texts.map((t) => checked(parseIpv4(t)));
  return {
    name: subnet.name ?? subnet.network,
    prefix,
    range: { first: checked(parseIpv4(subnet.from)), last: checked(parseIpv4(subnet.to)) },
    router: subnet.router === undefined ? undefined : checked(parseIpv4(subnet.router)),
    dnsServers: addresses(subnet.dns),
    ntpServers: addresses(subnet.ntp),
    domainName: undefined,
    mtu: undefined,
    leaseSeconds: subnet.leaseSeconds,
    isAuthoritative: true,
  };
}
