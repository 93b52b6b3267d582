import { create } from "@bufbuild/protobuf";
import { type SwitchDesired, SwitchDesiredSchema } from "#gen/holdfast/state/v1/switch_pb.ts";
import {
  NicStateSchema,
  type Switch,
  type SwitchNic,
  SwitchNicSchema,
  SwitchPortStatus,
  SwitchReplaceMode,
  SwitchSchema,
} from "#gen/metalstack/api/v2/switch_pb.ts";
import { newMeta } from "../meta.ts";

/** A switch that was seen for the first time: nobody has wished for anything. */
export const firstSwitch = ({ id, partition, meta }: Switch, nowMs: number): SwitchDesired =>
  create(SwitchDesiredSchema, {
    id,
    partition,
    replaceMode: SwitchReplaceMode.OPERATIONAL,
    meta: newMeta(meta?.labels, nowMs),
  });

/** The switch as the public API shows it: what people want of it over what is seen of it. Nothing of what is given is changed. */
export function composeSwitch(desired: SwitchDesired | undefined, observed: Switch): Switch {
  if (!desired) return observed;
  const nic = (n: SwitchNic) =>
    withDesired(n, Object.hasOwn(desired.ports, n.name) ? desired.ports[n.name] : undefined);
  return create(SwitchSchema, {
    ...observed,
    ...(desired.meta && { meta: desired.meta }),
    description: desired.description ?? observed.description,
    replaceMode: desired.replaceMode,
    managementIp: desired.managementIp ?? observed.managementIp,
    ...present("managementUser", desired.managementUser),
    ...present("consoleCommand", desired.consoleCommand),
    ...present("os", desired.os),
    nics: observed.nics.map(nic),
    machineConnections: observed.machineConnections.map((c) => (c.nic ? { ...c, nic: nic(c.nic) } : c)),
  });
}

/** What people want of a switch, without anything that is seen of it. */
export const wantedSwitch = (desired: SwitchDesired): Switch =>
  composeSwitch(
    desired,
    create(SwitchSchema, {
      id: desired.id,
      partition: desired.partition,
      nics: Object.keys(desired.ports)
        .sort()
        .map((name) => create(SwitchNicSchema, { name })),
    }),
  );

const present = <K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> =>
  value === undefined ? {} : ({ [key]: value } as Record<K, V>);

function withDesired(nic: SwitchNic, desired: SwitchPortStatus | undefined): SwitchNic {
  if (desired === undefined) return nic;
  const actual = nic.state?.actual ?? SwitchPortStatus.UNKNOWN;
  return create(SwitchNicSchema, { ...nic, state: create(NicStateSchema, { actual, desired }) });
}
