import { canonicalGateway } from "./gateway.ts";
import {
  type DesiredSwitch,
  type SwitchEdit,
  type SwitchNetwork,
  type SwitchPort,
  type SwitchState,
  vrfOfNetwork,
} from "./switch.ts";

/**
 * The edits that turn what runs into what is desired, in an order in which no step opens a door: ports leave their tenants
 * first, then addresses go, then networks and addresses come, then ports join tenants and are switched on or off, then empty
 * networks go.
 * What `desired` does not name is not touched, and neither is a port that the switch does not have (see `missingPorts`).
 */
export function diffSwitch(desired: DesiredSwitch, running: SwitchState): readonly SwitchEdit[] {
  const moves = movesOf(desired, running);
  const joinsTenant = (edit: { readonly network: string }): boolean => vrfOfNetwork(edit.network) !== undefined;
  return [
    ...moves.filter((edit) => !joinsTenant(edit)),
    ...desired.networks.flatMap((n) => surplusGateways(n, running)),
    ...desired.networks.flatMap((n) => additions(n, running)),
    ...moves.filter(joinsTenant),
    ...switchings(desired, running),
    ...removals(desired, running),
  ];
}

/** Ports that are named in `desired` and that the switch does not have. */
export const missingPorts = (desired: DesiredSwitch, running: SwitchState): readonly string[] =>
  desired.ports.map((p) => p.name).filter((name) => !running.ports.some((p) => p.name === name));

function movesOf(desired: DesiredSwitch, running: SwitchState) {
  return desired.ports.flatMap(({ name, network }) => {
    const port = running.ports.find((p) => p.name === name);
    if (port === undefined || network === undefined || port.network === network) return [];
    return [{ kind: "move-port" as const, port: name, network }];
  });
}

function switchings(desired: DesiredSwitch, running: SwitchState): readonly SwitchEdit[] {
  return desired.ports.flatMap(({ name, enabled }) => {
    const port = running.ports.find((p) => p.name === name);
    if (port === undefined || enabled === undefined || port.enabled === enabled) return [];
    return [{ kind: enabled ? ("enable-port" as const) : ("disable-port" as const), port: name }];
  });
}

const gatewaysOf = (network: SwitchNetwork): readonly string[] =>
  network.gateways.map((text) => {
    const canonical = canonicalGateway(text);
    return canonical.ok ? canonical.value : text;
  });

function surplusGateways(network: SwitchNetwork, running: SwitchState): readonly SwitchEdit[] {
  const wanted = gatewaysOf(network);
  const shown = running.networks.find((n) => n.name === network.name)?.gateways ?? [];
  return shown
    .filter((gateway) => !wanted.includes(gateway))
    .map((gateway) => ({ kind: "remove-gateway", network: network.name, gateway }));
}

function additions(network: SwitchNetwork, running: SwitchState): readonly SwitchEdit[] {
  const shown = running.networks.find((n) => n.name === network.name);
  const create: SwitchEdit[] = shown ? [] : [{ kind: "create-network", network: network.name }];
  const gateways = gatewaysOf(network).filter((gateway) => !shown?.gateways.includes(gateway));
  return [...create, ...gateways.map((gateway) => ({ kind: "add-gateway" as const, network: network.name, gateway }))];
}

function removals(desired: DesiredSwitch, running: SwitchState): readonly SwitchEdit[] {
  const networkAfter = (port: SwitchPort): string | undefined =>
    desired.ports.find((p) => p.name === port.name)?.network ?? port.network;
  const used = new Set(running.ports.map(networkAfter));
  const kept = new Set(desired.networks.map((n) => n.name));
  return (desired.removed ?? [])
    .filter((name) => !used.has(name) && !kept.has(name) && running.networks.some((n) => n.name === name))
    .map((name) => ({ kind: "remove-network", network: name }));
}
