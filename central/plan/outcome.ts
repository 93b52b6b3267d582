// What a transaction would change, as people are shown it. It says nothing that differs from one run to the next: no times, no drawn
// ids; so the same outcome is the same plan.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { homeNetwork, provisioning } from "#domain/machine/port-network.ts";
import {
  type Plan,
  type PlannedAddressSchema,
  PlannedFate,
  type PlannedMachineSchema,
  type PlannedNetworkSchema,
  type PlannedPortSchema,
  PlanSchema,
} from "#gen/holdfast/api/v1/plan_pb.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type IP, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import type { Switch } from "#gen/metalstack/api/v2/switch_pb.ts";
import type { Written } from "../history/record.ts";
import { type Kind, kinds, type Of } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

type Peek = Pick<State, "get" | "list">;
type Machine = MessageInitShape<typeof PlannedMachineSchema>;
type Address = MessageInitShape<typeof PlannedAddressSchema>;
type Port = MessageInitShape<typeof PlannedPortSchema>;
type PlannedNetwork = MessageInitShape<typeof PlannedNetworkSchema>;

/** @param peek as it is before; asked for what is not written, without a condition */
export function outcomeOf(written: readonly Written[], peek: Peek): Plan {
  const machines = changed(written, kinds.machineDesired);
  const given = machines.filter(({ before, after }) => after?.allocation && !before?.allocation);
  const released = machines.filter(({ before, after }) => before?.allocation && after && !after.allocation);
  return create(PlanSchema, {
    machines: [
      ...given.map(({ after }) => given1(after!, peek)),
      ...released.map(({ before, after }) => givenBack(before!.allocation!, after!, peek)),
    ],
    addresses: inOrder(
      [...taken(written), ...released.flatMap(({ after }) => leaving(after!, peek))],
      (a) => `${a.namespace}/${a.ip}`,
    ),
    networks: deletedNetworks(written),
    ports: inOrder(
      [
        ...given.flatMap(({ after }) => portsOf(after!, peek, homeNetwork(after!.allocation))),
        ...released.flatMap(({ after }) => portsOf(after!, peek, provisioning)),
        ...recabled(written),
      ],
      (p) => `${p.switch}/${p.port}/${p.becomes}`,
    ),
  });
}

interface Changed<T> {
  readonly id: string;
  readonly before: T | undefined;
  readonly after: T | undefined;
}

// A write of a kind is of its messages.
const changed = <K extends Kind>(written: readonly Written[], kind: K): readonly Changed<Of<K>>[] =>
  written.filter((one) => one.kind.name === kind.name) as unknown as readonly Changed<Of<K>>[];

const inOrder = <T>(all: readonly T[], key: (one: T) => string): T[] =>
  [...all].sort((a, b) => (key(a) < key(b) ? -1 : 1));

function place(desired: MachineDesired, peek: Peek) {
  const observed = peek.get(kinds.machineObserved, desired.uuid)?.value;
  const { uuid, partition, epoch } = desired;
  return { uuid, partition, epoch, size: observed?.size ?? "", rack: observed?.rack ?? "" };
}

function allocated({ project, image, filesystemLayout, networks }: MachineAllocation) {
  return {
    project,
    image: image?.id ?? "",
    filesystemLayout: filesystemLayout?.id ?? "",
    joins: networks.map(({ network, ips, vrf, asn }) => ({ network, ips, vrf, asn })),
  };
}

const disksOf = ({ uuid }: MachineDesired, peek: Peek) =>
  peek.get(kinds.machineObserved, uuid)?.value.hardware?.disks ?? [];

/** Installing begins with the disks that the layout divides. */
function given1(desired: MachineDesired, peek: Peek): Machine {
  const { allocation } = desired;
  const divided = new Set(allocation?.filesystemLayout?.disks.map(({ device }) => device));
  const wiped = disksOf(desired, peek).filter(({ name }) => divided.has(name));
  return {
    ...place(desired, peek),
    fate: PlannedFate.TAKEN,
    ...(allocation && allocated(allocation)),
    wipedDisks: wiped.map(({ name, size }) => ({ name, size })),
  };
}

/** All disks are wiped before anybody else gets the machine. */
function givenBack(allocation: MachineAllocation, desired: MachineDesired, peek: Peek): Machine {
  return {
    ...place(desired, peek),
    fate: PlannedFate.GIVEN_BACK,
    ...allocated(allocation),
    wipedDisks: disksOf(desired, peek).map(({ name, size }) => ({ name, size })),
  };
}

const address = ({ ip, namespace = "", network }: IP, fate: PlannedFate): Address => ({ ip, namespace, network, fate });

const taken = (written: readonly Written[]): Address[] =>
  changed(written, kinds.ip).flatMap(({ before, after }) => {
    if (after) return address(after, before ? PlannedFate.USED : PlannedFate.TAKEN);
    return before ? address(before, PlannedFate.DELETED) : [];
  });

/** They stay taken until the port was read back isolated. */
const leaving = ({ release }: MachineDesired, peek: Peek): Address[] =>
  (release?.ips ?? []).flatMap((id) => {
    const ip = peek.get(kinds.ip, id)?.value;
    if (ip === undefined) return [];
    return address(ip, ip.type === IPType.IP_TYPE_EPHEMERAL ? PlannedFate.GIVEN_BACK : PlannedFate.KEPT);
  });

function deletedNetworks(written: readonly Written[]): PlannedNetwork[] {
  const unclaimed = new Set(changed(written, kinds.claim).flatMap(({ id, after }) => (after ? [] : id)));
  const gone = changed(written, kinds.network).flatMap(({ before, after }) => (before && !after ? before : []));
  return gone.map(({ id, prefixes, vrf }: Network) => ({
    id,
    prefixes,
    fate: PlannedFate.DELETED,
    ...(vrf !== undefined && unclaimed.has(`vrf/${vrf}`) && { vrf }),
  }));
}

/** As the agent has read it, or as switches without an agent have registered. */
function portsOf({ uuid }: MachineDesired, peek: Peek, becomes: string): Port[] {
  const seen = peek.get(kinds.machineObserved, uuid)?.value.port;
  if (seen) return [{ switch: seen.switch, port: seen.port, machine: uuid, becomes }];
  return peek
    .list(kinds.switch)
    .flatMap(({ id, value }) =>
      value.machineConnections
        .filter((c) => c.machineId === uuid)
        .map(({ nic }) => ({ switch: id, port: nic?.name ?? "", machine: uuid, becomes })),
    );
}

const recabled = (written: readonly Written[]): Port[] =>
  changed(written, kinds.switch).flatMap(({ id, before, after }) => [
    ...cablesBeside(before, after).map((cable) => ({ switch: id, ...cable, becomes: "empty" })),
    ...cablesBeside(after, before).map((cable) => ({ switch: id, ...cable, becomes: "taken over" })),
  ]);

/** Those of one that the other has not. */
function cablesBeside(one: Switch | undefined, other: Switch | undefined) {
  const cables = (s: Switch | undefined) =>
    (s?.machineConnections ?? []).map(({ machineId, nic }) => ({ port: nic?.name ?? "", machine: machineId }));
  const has = cables(other);
  return cables(one).filter(({ port, machine }) => !has.some((c) => c.port === port && c.machine === machine));
}
