import {
  MachineProvisioningEventState,
  MachineIssueSeverity as Severity,
  MachineIssueType as Type,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const crashloop: Issue = {
  type: Type.CRASH_LOOP,
  name: "crashloop",
  severity: Severity.MAJOR,
  description: "the machine reboots where it should not",
  details: ({ observed }) =>
    when(observed?.events?.state === MachineProvisioningEventState.CRASHLOOP, observed?.lastFailure),
};
