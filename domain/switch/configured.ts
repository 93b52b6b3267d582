// How a switch that asks central shall be configured: each port's network, and what its machine may announce there.
import { create } from "@bufbuild/protobuf";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import { type MachineAllocation, MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import {
  type BGPFilter,
  BGPFilterSchema,
  type Switch,
  type SwitchNic,
  SwitchNicSchema,
} from "#gen/metalstack/api/v2/switch_pb.ts";
import { containsPrefix, type Prefix, parseAddress, prefixText } from "#lib/net/prefix.ts";
import { Refusal } from "#lib/refusal.ts";
import { machineOf } from "../ip/machine-label.ts";
import type { MachineView } from "../machine/placement.ts";
import { portNetwork, provisioning } from "../machine/port-network.ts";
import { addressBlock } from "../network/free.ts";
import { knownPrefixes } from "../network/rules.ts";

export interface Surroundings {
  machine(uuid: string): MachineView | undefined;
  network(id: string): Network | undefined;
  ipsOf(project: string): readonly IP[];
}

/** Not a tenant's: a firewall is a neighbour of the fabric itself, with a tunnel end for each of its networks. */
const towardsFirewalls = "default";

/**
 * A port without a VRF is in the network where machines are provisioned; so are ports without a machine.
 * @throws Refusal "unavailable" when a machine's network cannot be told: what the switch has now is to stay
 */
export function configured(s: Switch, around: Surroundings): SwitchNic[] {
  const machines = new Map(s.machineConnections.map((c) => [c.nic?.name, c.machineId]));
  return s.nics.map(({ vrf: _, bgpFilter: __, ...nic }) => {
    const uuid = machines.get(nic.name);
    const machine = uuid === undefined ? undefined : around.machine(uuid);
    const id = machine ? portNetwork(machine.desired, machine.observed) : provisioning;
    if (!machine || id === provisioning) return create(SwitchNicSchema, nic);
    const { allocation } = machine.desired;
    if (allocation?.allocationType === MachineAllocationType.FIREWALL) {
      return create(SwitchNicSchema, { ...nic, vrf: towardsFirewalls, bgpFilter: firewallFilter(allocation) });
    }
    const network = around.network(id);
    if (!network?.vrf) {
      const text = `network ${id} of machine ${uuid} at port ${nic.name} of switch ${s.id} has no VRF that is known`;
      throw new Refusal("unavailable", text, { reason: "NETWORK_UNKNOWN" });
    }
    const cidrs = announcable(network, machine, around).map(prefixText);
    return create(SwitchNicSchema, {
      ...nic,
      vrf: `vrf${network.vrf}`,
      bgpFilter: create(BGPFilterSchema, { cidrs: cidrs.sort() }),
    });
  });
}

/** Its own address in the underlay, and the routes of its networks: those can be told apart by their numbers alone, not by prefixes. */
function firewallFilter({ networks }: MachineAllocation): BGPFilter {
  const isUnderlay = ({ networkType }: (typeof networks)[number]) => networkType === NetworkType.UNDERLAY;
  const own = networks.filter(isUnderlay).flatMap((n) => n.ips.flatMap(hostPrefixes));
  const vrfs = new Set(networks.filter((n) => !isUnderlay(n)).map((n) => Number(n.vrf)));
  const vnis = [...vrfs].sort((a, b) => a - b).map(String);
  return create(BGPFilterSchema, { cidrs: own.map(prefixText).sort(), vnis });
}

/** Its home network, what the network above allows beside it, and the project's addresses but those at firewalls and in the fabric; none within another. */
function announcable(home: Network, { desired }: MachineView, around: Surroundings): readonly Prefix[] {
  const parent = home.parentNetwork === undefined ? undefined : around.network(home.parentNetwork);
  const given = [...home.prefixes, ...(parent?.additionalAnnouncableCidrs ?? [])];
  const isAtFirewall = (ip: IP) =>
    around.machine(machineOf(ip) ?? "")?.desired.allocation?.allocationType === MachineAllocationType.FIREWALL;
  const isOfFabric = (ip: IP) => around.network(ip.network)?.type === NetworkType.UNDERLAY;
  const others = around.ipsOf(desired.allocation?.project ?? "").filter((ip) => !isAtFirewall(ip) && !isOfFabric(ip));
  const addresses = others.flatMap(({ ip }) => hostPrefixes(ip));
  const all = [...knownPrefixes(given), ...addresses];
  return all.filter(
    (prefix, i) =>
      !all.some((other, j) => i !== j && containsPrefix(other, prefix) && (j < i || !containsPrefix(prefix, other))),
  );
}

function hostPrefixes(ip: string): Prefix[] {
  const address = parseAddress(ip);
  if (!address.ok) return [];
  const { base, length } = addressBlock(address.value);
  return [{ family: address.value.family, network: base, length }];
}
