import { MachineIssueSeverity as Severity, MachineIssueType as Type } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const noEventContainer: Issue = {
  type: Type.NO_EVENT_CONTAINER,
  name: "no-event-container",
  severity: Severity.MAJOR,
  description: "the machine has no event log",
  details: ({ observed }) => when(observed?.events === undefined),
};
