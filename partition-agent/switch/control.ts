// What the machine reconciler asks of the site's switch, in terms of machines and networks instead of ports and bridges.
import { provisioning } from "#domain/machine/port-network.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Mac } from "#lib/net/mac.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { PortFact } from "../machine/plan.ts";
import type { PortControl } from "../machine/reconciler.ts";
import { diffSwitch } from "./diff.ts";
import { RecentState } from "./recent-state.ts";
import type { SwitchDriver, SwitchPort, SwitchState } from "./switch.ts";

export interface SwitchNames {
  /** The switch's own name of a network: the provisioning one, or a tenant's by its id; undefined for one that is not known. */
  readonly toSwitch: (network: string) => TenantNetwork | undefined;
  /** And back; names that are nobody's are shown as they are. */
  readonly fromSwitch: (name: string) => string;
}

export interface TenantNetwork {
  readonly name: string;
  /** With prefix length. */
  readonly gateways: readonly string[];
}

/** @param ownerOf the machine that has a network interface with the address */
export function switchControl(
  driver: SwitchDriver,
  names: SwitchNames,
  ownerOf: (mac: Mac) => string | undefined,
  clock: Clock,
): PortControl {
  const recent = new RecentState(driver, clock);
  return {
    async locate(machine, signal) {
      let state: SwitchState;
      try {
        state = await recent.read(signal);
      } catch (error) {
        return unknown(reasonOf(error));
      }
      return locateIn(state, machine, names, ownerOf);
    },

    async move(port, network, signal) {
      const wanted = names.toSwitch(network);
      if (!wanted) throw new Error(`network ${network} is not known here yet: nothing has come from central`);
      const before = await driver.read(signal);
      const networks = network === provisioning ? [] : [wanted];
      const desired = { networks, ports: [{ name: port, network: wanted.name }] };
      try {
        await driver.apply(diffSwitch(desired, before), signal);
      } finally {
        recent.forget();
      }
      const now = (await driver.read(signal)).ports.find((p) => p.name === port);
      if (now?.network !== wanted.name) {
        throw new Error(`port ${port} is in ${now?.network ?? "no network"} after it was moved to ${wanted.name}`);
      }
    },
  };
}

/** By the addresses that the switch has learned, by what the machine heard on its cables, or where it was last. */
function locateIn(
  state: SwitchState,
  machine: MachineObserved,
  names: SwitchNames,
  ownerOf: (mac: Mac) => string | undefined,
): PortFact {
  const nics = machine.hardware?.nics ?? [];
  const macs = new Set(nics.map((nic) => nic.mac.toLowerCase()));
  for (const mac of macs) {
    const behind = state.ports.filter((p) => p.learnedMacs.some((m) => m === mac)).map((p) => p.name);
    if (behind.length > 1)
      return unknown(`switch ${state.id} sees MAC ${mac} behind several ports: ${behind.join(", ")}`);
  }
  const known = (p: SwitchPort) => machine.port?.switch === state.id && machine.port.port === p.name;
  const seen = state.ports.filter((p) => p.learnedMacs.some((mac) => macs.has(mac)));
  const port = seen.find(known) ?? seen[0];
  if (port) return at(state, port, names);
  const heard = new Set(
    nics
      .flatMap((nic) => nic.neighbors)
      .filter((n) => n.hostname === state.id)
      .map((n) => n.name),
  );
  const last = state.ports.find((p) => heard.has(p.name)) ?? state.ports.find(known);
  if (!last) return unknown(`switch ${state.id} has not seen the machine on any port`);
  const other = last.learnedMacs.map(ownerOf).find((owner) => owner !== undefined && owner !== machine.uuid);
  return other === undefined
    ? at(state, last, names)
    : unknown(`port ${last.name} of switch ${state.id}, where the machine was last, is machine ${other}'s now`);
}

const unknown = (why: string): PortFact => ({ kind: "unknown", why });

const at = (state: SwitchState, { name, network }: SwitchPort, names: SwitchNames): PortFact => ({
  kind: "at",
  switch: state.id,
  port: name,
  network: network === undefined ? "no network" : names.fromSwitch(network),
});
