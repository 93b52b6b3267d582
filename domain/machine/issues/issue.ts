import type { MachineIssueSeverity, MachineIssueType } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { MachineView } from "../placement.ts";

/** What can be wrong with a machine. Names, severities and thresholds are metal-stack's. */
export interface Issue {
  readonly type: MachineIssueType;
  /** As metal-stack's clients name it. */
  readonly name: string;
  readonly severity: MachineIssueSeverity;
  readonly description: string;
  /** Details when the machine has the issue; they may be empty. */
  readonly details: (machine: MachineView, context: IssueContext) => string | undefined;
}

/** What the issues of one machine hang on beside itself; made once for all machines. */
export interface IssueContext {
  readonly nowMs: number;
  /** How far back an erroneous event counts, milliseconds. */
  readonly lastErrorMs: number;
  /** uuids by what they should have for themselves. */
  readonly byAsn: ReadonlyMap<string, readonly string[]>;
  readonly byBmcAddress: ReadonlyMap<string, readonly string[]>;
}

/** Machines that the details of one issue name. */
const namedMax = 10;

export const when = (has: boolean, details = ""): string | undefined => (has ? details : undefined);

/** Details when others have the same. */
export function shared(
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
