import { MachineIssueSeverity as Severity, MachineIssueType as Type } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const noPartition: Issue = {
  type: Type.NO_PARTITION,
  name: "no-partition",
  severity: Severity.MAJOR,
  description: "the machine has no partition",
  details: ({ desired }) => when(desired.partition === ""),
};
