// How a switch that asks central shall be configured: each port's network, and what its machine may announce there.
import { create } from "@bufbuild/protobuf";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { BGPFilterSchema, type Switch, type SwitchNic, SwitchNicSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { MachineView } from "../machine/placement.ts";
import { portNetwork, provisioning } from "../machine/port-network.ts";
import { addressBlock } from "../network/free.ts";
import { containsPrefix, type Prefix, parseAddress, prefixText } from "../network/prefix.ts";
import { knownPrefixes } from "../network/rules.ts";

export interface Surroundings {
  machine(uuid: string): MachineView | undefined;
  network(id: string): Network | undefined;
  ipsOf(project: string): readonly IP[];
}

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

/** Its home network, what the network above allows beside it, and the project's addresses anywhere; none within another. */
function announcable(home: Network, { desired }: MachineView, around: Surroundings): readonly Prefix[] {
  const parent = home.parentNetwork === undefined ? undefined : around.network(home.parentNetwork);
  const given = [...home.prefixes, ...(parent?.additionalAnnouncableCidrs ?? [])];
  const addresses = around.ipsOf(desired.allocation?.project ?? "").flatMap(({ ip }) => {
    const address = parseAddress(ip);
    return address.ok ? [hostPrefix(address.value)] : [];
  });
  const all = [...knownPrefixes(given), ...addresses];
  return all.filter(
    (prefix, i) =>
      !all.some((other, j) => i !== j && containsPrefix(other, prefix) && (j < i || !containsPrefix(prefix, other))),
  );
}

const hostPrefix = (address: Parameters<typeof addressBlock>[0]): Prefix => {
  const { base, length } = addressBlock(address);
  return { family: address.family, network: base, length };
};
