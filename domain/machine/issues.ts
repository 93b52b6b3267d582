// What can be wrong with a machine, one row each. Names, severities and thresholds are metal-stack's.
import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type MachineIssue,
  MachineIssueSchema,
  MachineLiveliness,
  MachineProvisioningEventState,
  MachineIssueSeverity as Severity,
  MachineIssueType as Type,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { MachineView } from "./placement.ts";
import { asnTag } from "./tags.ts";

/** What the issues of one machine hang on beside itself; made once for all machines. */
export interface IssueContext {
  readonly nowMs: number;
  /** How far back an erroneous event counts, milliseconds. */
  readonly lastErrorMs: number;
  /** uuids by what they should have for themselves. */
  readonly byAsn: ReadonlyMap<string, readonly string[]>;
  readonly byBmcAddress: ReadonlyMap<string, readonly string[]>;
}

const lastErrorDefaultMs = 7 * 24 * 3_600_000;
/** Machines that the details of one issue name. */
const namedMax = 10;
const bmcOutdatedMs = 20 * 60_000;

interface Row {
  readonly type: Type;
  /** As metal-stack's clients name it. */
  readonly name: string;
  readonly severity: Severity;
  readonly description: string;
  /** Details when the machine has the issue; they may be empty. */
  readonly details: (machine: MachineView, context: IssueContext) => string | undefined;
}

const when = (has: boolean, details = ""): string | undefined => (has ? details : undefined);

const rows: readonly Row[] = [
  {
    type: Type.NO_PARTITION,
    name: "no-partition",
    severity: Severity.MAJOR,
    description: "the machine has no partition",
    details: ({ desired }) => when(desired.partition === ""),
  },
  {
    type: Type.LIVELINESS_DEAD,
    name: "liveliness-dead",
    severity: Severity.MAJOR,
    description: "the machine sends no events any more",
    details: ({ observed }) => when(observed?.liveliness === MachineLiveliness.DEAD),
  },
  {
    type: Type.LIVELINESS_UNKNOWN,
    name: "liveliness-unknown",
    severity: Severity.MAJOR,
    description: "the machine is in use and sends no phone-home any more",
    details: ({ observed }) => when(observed?.liveliness === MachineLiveliness.UNKNOWN),
  },
  {
    type: Type.LIVELINESS_NOT_AVAILABLE,
    name: "liveliness-not-available",
    severity: Severity.MINOR,
    description: "nothing is known of the machine's liveliness",
    details: ({ observed }) => when((observed?.liveliness ?? 0) === MachineLiveliness.UNSPECIFIED),
  },
  {
    type: Type.FAILED_MACHINE_RECLAIM,
    name: "failed-machine-reclaim",
    severity: Severity.CRITICAL,
    description: "the machine was released, but its old system phones home",
    details: ({ observed }) => when(observed?.events?.state === MachineProvisioningEventState.FAILED_RECLAIM),
  },
  {
    type: Type.CRASH_LOOP,
    name: "crashloop",
    severity: Severity.MAJOR,
    description: "the machine reboots where it should not",
    details: ({ observed }) =>
      when(observed?.events?.state === MachineProvisioningEventState.CRASHLOOP, observed?.lastFailure),
  },
  {
    type: Type.LAST_EVENT_ERROR,
    name: "last-event-error",
    severity: Severity.MINOR,
    description: "the machine had an erroneous event lately",
    details: ({ observed }, { nowMs, lastErrorMs }) => {
      const error = observed?.events?.lastErrorEvent;
      return error?.time && nowMs - timestampMs(error.time) <= lastErrorMs ? error.message : undefined;
    },
  },
  {
    type: Type.BMC_WITHOUT_MAC,
    name: "bmc-without-mac",
    severity: Severity.MAJOR,
    description: "the MAC of the machine's BMC is not known",
    details: ({ observed }) => when(!observed?.bmc?.mac),
  },
  {
    type: Type.BMC_WITHOUT_IP,
    name: "bmc-without-ip",
    severity: Severity.MAJOR,
    description: "the address of the machine's BMC is not known",
    details: ({ observed }) => when(!observed?.bmc?.address),
  },
  {
    type: Type.BMC_INFO_OUTDATED,
    name: "bmc-info-outdated",
    severity: Severity.MAJOR,
    description: "the machine's BMC has not been read for more than 20 minutes",
    details: ({ observed }, { nowMs }) =>
      when(observed?.bmcUpdatedAt !== undefined && nowMs - timestampMs(observed.bmcUpdatedAt) > bmcOutdatedMs),
  },
  {
    type: Type.ASN_UNIQUENESS,
    name: "asn-not-unique",
    severity: Severity.MINOR,
    description: "another machine has the same ASN",
    details: (machine, { byAsn }) => shared(asnOf(machine), machine, byAsn),
  },
  {
    type: Type.BMC_NON_DISTINCT_IP,
    name: "bmc-no-distinct-ip",
    severity: Severity.MAJOR,
    description: "another machine's BMC has the same address",
    details: (machine, { byBmcAddress }) => shared(bmcAddressOf(machine), machine, byBmcAddress),
  },
  {
    type: Type.NO_EVENT_CONTAINER,
    name: "no-event-container",
    severity: Severity.MAJOR,
    description: "the machine has no event log",
    details: ({ observed }) => when(observed?.events === undefined),
  },
];

const asnOf = ({ desired }: MachineView): string => desired.allocation?.meta?.labels?.labels[asnTag] ?? "";

const bmcAddressOf = ({ observed }: MachineView): string => observed?.bmc?.address ?? "";

function shared(
  value: string,
  { desired: { uuid } }: MachineView,
  holders: ReadonlyMap<string, readonly string[]>,
): string | undefined {
  const held = holders.get(value) ?? [];
  if (held.length < 2) return undefined;
  const named = held.slice(0, namedMax + 1).filter((other) => other !== uuid);
  const unnamed = held.length - 1 - named.length;
  return `${value} is also machine ${named.join(", ")}${unnamed > 0 ? ` and ${unnamed} more` : ""}'s`;
}

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
  return rows.flatMap(({ type, name, severity, description, details }) => {
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
