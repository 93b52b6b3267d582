import { provisioning } from "#domain/machine/port-network.ts";
import { gatewayOf } from "#domain/network/gateway.ts";
import { type Network, NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { addressText, parsePrefix } from "#lib/net/prefix.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { SwitchNames } from "./control.ts";
import { tenantNetwork, vrfOfNetwork } from "./switch.ts";

/** Networks by their ids, as the ledger knows them, against their names on the switch. */
export function switchNames(ledger: Ledger, provisioningBridge: string): SwitchNames {
  return {
    toSwitch(id) {
      if (id === provisioning) return { name: provisioningBridge, gateways: [] };
      const network = ledger.get("network", id, NetworkSchema);
      if (network?.vrf === undefined || network.vrf === 0) return undefined;
      return { name: tenantNetwork(network.vrf), gateways: gatewaysOf(network) };
    },

    fromSwitch(name) {
      if (name === provisioningBridge) return provisioning;
      const vrf = vrfOfNetwork(name);
      return ledger.list("network", NetworkSchema).find((n) => vrf !== undefined && n.vrf === vrf)?.id ?? name;
    },
  };
}

const gatewaysOf = (network: Network): readonly string[] =>
  network.prefixes.flatMap((text) => {
    const prefix = parsePrefix(text);
    const gateway = prefix.ok ? gatewayOf(prefix.value) : undefined;
    return prefix.ok && gateway ? [`${addressText(gateway)}/${prefix.value.length}`] : [];
  });
