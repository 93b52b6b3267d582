// The site's switch as central shows it: its ports, where they belong, and which machine hangs on which.
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { SwitchDesiredSchema } from "#gen/holdfast/state/v1/switch_pb.ts";
import { MetaSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  MachineConnectionSchema,
  NicStateSchema,
  type Switch,
  SwitchNicSchema,
  SwitchPortStatus,
  SwitchReplaceMode,
  SwitchSchema,
} from "#gen/metalstack/api/v2/switch_pb.ts";
import { equalBytes } from "#lib/bytes.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { Observations } from "../observations/observations.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { SwitchNames } from "./control.ts";
import { PortEffects, type PortEffectsPorts } from "./port-effects.ts";
import type { SwitchState } from "./switch.ts";

export interface SwitchReportPorts extends PortEffectsPorts {
  readonly rack: string;
  readonly managementAddress: string;
  readonly names: SwitchNames;
  readonly observations: Observations;
  readonly outbox: Outbox;
}

const readEveryMs = 10_000;

/** Reads the switch again and again, reports what is new, and keeps its ports as they are wanted, until the signal aborts. */
export async function reportSwitch(ports: SwitchReportPorts, signal: AbortSignal): Promise<void> {
  const { driver, observations, ledger, outbox, clock, log } = ports;
  const effects = new PortEffects(ports);
  let last: Uint8Array | undefined;
  let told = { to: observations.told, revision: 0n };
  let lastError = "";
  while (!signal.aborted) {
    try {
      const state = await driver.read(signal);
      await placeMachines(ports, state);
      const value = toBinary(SwitchSchema, describe(ports, state));
      const { revision } = ledger.cursor;
      const to = observations.told;
      // Central has moved on and does not know the switch, or not any more: somebody has deleted it.
      const isUnknown = !ledger.get("switch-desired", state.id, SwitchDesiredSchema) && revision !== told.revision;
      if (!last || !equalBytes(last, value) || isUnknown || told.to !== to) {
        await outbox.put({ kind: "switch", id: state.id, value, seenMs: clock.wallMs() });
        told = { to, revision };
      }
      last = value;
      await effects.keep(state, signal);
      lastError = "";
    } catch (error) {
      const text = reasonOf(error);
      if (!signal.aborted && text !== lastError) log.warn("switch-trouble", { error: text });
      lastError = text;
    }
    await clock.sleep(readEveryMs, signal).catch(() => {});
  }
}

/** A machine is in the rack of the switch that it hangs on. */
async function placeMachines({ observations, rack }: SwitchReportPorts, state: SwitchState): Promise<void> {
  for (const machine of observations.list()) {
    if (machine.port?.switch !== state.id || machine.rack === rack) continue;
    await observations.update(machine.uuid, (m) => {
      m.rack = rack;
    });
  }
}

function describe(ports: SwitchReportPorts, state: SwitchState): Switch {
  const nics = state.ports.map((port) =>
    create(SwitchNicSchema, {
      name: port.name,
      identifier: port.name,
      mac: port.mac,
      ...(port.network !== undefined && { vrf: ports.names.fromSwitch(port.network) }),
      state: create(NicStateSchema, { actual: port.up ? SwitchPortStatus.UP : SwitchPortStatus.DOWN }),
    }),
  );
  const machineConnections = ports.observations.list().flatMap(({ uuid, port }) => {
    const nic = port?.switch === state.id ? nics.find((n) => n.name === port.port) : undefined;
    return nic ? [create(MachineConnectionSchema, { machineId: uuid, nic })] : [];
  });
  return create(SwitchSchema, {
    id: state.id,
    meta: create(MetaSchema, { createdAt: timestampFromMs(0), updatedAt: timestampFromMs(0) }),
    description: "driven by the partition's agent",
    rack: ports.rack,
    partition: ports.partition,
    replaceMode: SwitchReplaceMode.OPERATIONAL,
    managementIp: ports.managementAddress,
    nics,
    machineConnections,
  });
}
