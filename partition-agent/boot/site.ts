import { type MachineDesired, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type Partition, PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { type Size, SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import type { Bell } from "#lib/bell.ts";
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
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
  readonly tokens: BootTokens;
  /** Whether what is remembered here can be trusted. */
  readonly safeMode: { readonly why: string | undefined };
  readonly disk: Disk;
  /** Rung after every change of the ledger or an observation. */
  readonly bell: Bell;
  readonly clock: Clock;
  readonly log: Log;
}

export const desiredOf = (site: Site, uuid: string): MachineDesired | undefined =>
  site.ledger.get("machine", uuid, MachineDesiredSchema);

export const partitionOf = (site: Site): Partition | undefined =>
  site.ledger.get("partition", site.partition, PartitionSchema);

export const sizesOf = (site: Site): readonly Size[] => site.ledger.list("size", SizeSchema);
