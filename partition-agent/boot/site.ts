import { effectiveDesired } from "#domain/budget/effective.ts";
import { effectiveNetwork } from "#domain/budget/effective-network.ts";
import type { LocalMachine } from "#gen/holdfast/state/v1/budget_pb.ts";
import { type MachineDesired, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type Network, NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { type Partition, PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { type Size, SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import type { Bell } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { LocalRecords } from "../budget/local-records.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Observations } from "../observations/observations.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { BootTokens } from "./boot-token.ts";

/** What the boot services of a partition share: what is wanted, what was seen, and whom to wake. */
export interface Site {
  readonly partition: string;
  /** Base URL of the agent as machines in the provisioning network reach it, without a trailing slash. */
  readonly url: string;
  readonly ledger: Ledger;
  readonly observations: Observations;
  readonly outbox: Outbox;
  /** What was given away here and is not adopted by central. */
  readonly locals: LocalRecords;
  readonly tokens: BootTokens;
  /** Whether what is remembered here can be trusted. */
  readonly safeMode: { readonly why: string | undefined };
  readonly disk: Disk;
  /** Rung after every change of the ledger or an observation. */
  readonly bell: Bell;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is wanted of a machine: central's word, or the agent's own where it gave the machine away by itself. */
export const desiredOf = (site: Site, uuid: string): MachineDesired | undefined =>
  effective(site, toldOf(site, uuid), site.locals.machine(uuid));

/** As `desiredOf`, once the agent has given the machine away like that. */
export const desiredWith = (site: Site, local: LocalMachine): MachineDesired | undefined =>
  effective(site, toldOf(site, local.uuid), local);

const toldOf = ({ ledger }: Site, uuid: string) => ledger.get("machine", uuid, MachineDesiredSchema);

const effective = ({ partition, outbox }: Site, told: MachineDesired | undefined, local: LocalMachine | undefined) =>
  effectiveDesired(told, local, { partition, outbox: outbox.id });

/** As `desiredOf`, of all machines that anything is wanted of. */
export const allDesired = (site: Site): readonly MachineDesired[] => {
  const told = site.ledger.list("machine", MachineDesiredSchema);
  const known = new Set(told.map(({ uuid }) => uuid));
  const own = site.locals.machines().filter(({ uuid }) => !known.has(uuid));
  return [
    ...told.flatMap((desired) => effective(site, desired, site.locals.machine(desired.uuid)) ?? []),
    ...own.flatMap((local) => effective(site, undefined, local) ?? []),
  ];
};

/** Central's word, or the agent's own of one that it made by itself. */
export const networkOf = ({ ledger, locals }: Site, id: string): Network | undefined =>
  effectiveNetwork(ledger.get("network", id, NetworkSchema), locals.network(id));

/** As `networkOf`, all of a project's. */
export const networksOf = (site: Site, project: string): readonly Network[] => {
  const told = site.ledger.list("network", NetworkSchema).map(({ id }) => id);
  const own = site.locals.networks().map(({ network }) => network?.id ?? "");
  return [...new Set([...told, ...own])]
    .flatMap((id) => networkOf(site, id) ?? [])
    .filter((network) => network.project === project);
};

export const partitionOf = (site: Site): Partition | undefined =>
  site.ledger.get("partition", site.partition, PartitionSchema);

export const sizesOf = (site: Site): readonly Size[] => site.ledger.list("size", SizeSchema);
