// What the machine reconciler asks of the site's switch, in terms of machines and networks instead of ports and bridges.
import { provisioning } from "#domain/machine/port-network.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { PortFact } from "../machine/plan.ts";
import type { PortControl } from "../machine/reconciler.ts";
import { diffSwitch } from "./diff.ts";
import type { SwitchDriver, SwitchState } from "./switch.ts";

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

export function switchControl(driver: SwitchDriver, names: SwitchNames): PortControl {
  return {
    async locate(machine, signal) {
      let state: SwitchState;
      try {
        state = await driver.read(signal);
      } catch (error) {
        return { kind: "unknown", why: error instanceof Error ? error.message : String(error) };
      }
      return locateIn(state, machine, names);
    },

    async move(port, network, signal) {
      const wanted = names.toSwitch(network);
      if (!wanted) throw new Error(`network ${network} is not known here yet: nothing has come from central`);
      const before = await driver.read(signal);
      const networks = network === provisioning ? [] : [wanted];
      const desired = { networks, ports: [{ name: port, network: wanted.name }] };
      await driver.apply(diffSwitch(desired, before), signal);
      const now = (await driver.read(signal)).ports.find((p) => p.name === port);
      if (now?.network !== wanted.name) {
        throw new Error(`port ${port} is in ${now?.network ?? "no network"} after it was moved to ${wanted.name}`);
      }
    },
  };
}

/** By the addresses that the switch has learned, by what the machine heard on its cables, or where it was last. */
function locateIn(state: SwitchState, machine: MachineObserved, names: SwitchNames): PortFact {
  const macs = new Set((machine.hardware?.nics ?? []).map((nic) => nic.mac.toLowerCase()));
  const heard = new Set(
    (machine.hardware?.nics ?? [])
      .flatMap((nic) => nic.neighbors)
      .filter((n) => n.hostname === state.id)
      .map((n) => n.name),
  );
  const port =
    state.ports.find((p) => p.learnedMacs.some((mac) => macs.has(mac))) ??
    state.ports.find((p) => heard.has(p.name)) ??
    state.ports.find((p) => machine.port?.switch === state.id && machine.port.port === p.name);
  if (!port) return { kind: "unknown", why: `switch ${state.id} has not seen the machine on any port` };
  const network = port.network === undefined ? "no network" : names.fromSwitch(port.network);
  return { kind: "at", switch: state.id, port: port.name, network };
}
