// All that can be wrong with a machine, one file each.
import { create } from "@bufbuild/protobuf";
import { type MachineIssue, MachineIssueSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { MachineView } from "../placement.ts";
import { asnNotUnique, asnOf } from "./asn-not-unique.ts";
import { bmcInfoOutdated } from "./bmc-info-outdated.ts";
import { bmcAddressOf, bmcNoDistinctIp } from "./bmc-no-distinct-ip.ts";
import { bmcWithoutIp } from "./bmc-without-ip.ts";
import { bmcWithoutMac } from "./bmc-without-mac.ts";
import { crashloop } from "./crashloop.ts";
import { failedMachineReclaim } from "./failed-machine-reclaim.ts";
import type { Issue, IssueContext } from "./issue.ts";
import { lastEventError } from "./last-event-error.ts";
import { livelinessDead } from "./liveliness-dead.ts";
import { livelinessNotAvailable } from "./liveliness-not-available.ts";
import { livelinessUnknown } from "./liveliness-unknown.ts";
import { noEventContainer } from "./no-event-container.ts";
import { noPartition } from "./no-partition.ts";

const all: readonly Issue[] = [
  noPartition,
  livelinessDead,
  livelinessUnknown,
  livelinessNotAvailable,
  failedMachineReclaim,
  crashloop,
  lastEventError,
  bmcWithoutMac,
  bmcWithoutIp,
  bmcInfoOutdated,
  asnNotUnique,
  bmcNoDistinctIp,
  noEventContainer,
];

const lastErrorDefaultMs = 7 * 24 * 3_600_000;

/** @param lastErrorMs how far back an erroneous event counts, milliseconds */
export const issueContext = (
  machines: readonly MachineView[],
  nowMs: number,
  lastErrorMs: number = lastErrorDefaultMs,
): IssueContext => ({
  nowMs,
  lastErrorMs,
  byAsn: holdersBy(machines, asnOf),
  byBmcAddress: holdersBy(machines, bmcAddressOf),
});

function holdersBy(machines: readonly MachineView[], of: (machine: MachineView) => string): Map<string, string[]> {
  const holders = new Map<string, string[]>();
  for (const machine of machines) {
    const value = of(machine);
    if (value === "") continue;
    const held = holders.get(value);
    if (held) held.push(machine.desired.uuid);
    else holders.set(value, [machine.desired.uuid]);
  }
  return holders;
}

export function issuesOf(machine: MachineView, context: IssueContext): readonly MachineIssue[] {
  return all.flatMap(({ type, name, severity, description, details }) => {
    const found = details(machine, context);
    if (found === undefined) return [];
    return [
      create(MachineIssueSchema, {
        type,
        severity,
        description,
        details: found,
        referenceUrl: `docs/machine-issues.md#${name}`,
      }),
    ];
  });
}
