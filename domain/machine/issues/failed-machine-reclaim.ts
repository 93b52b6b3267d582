import {
  MachineProvisioningEventState,
  MachineIssueSeverity as Severity,
  MachineIssueType as Type,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const failedMachineReclaim: Issue = {
  type: Type.FAILED_MACHINE_RECLAIM,
  name: "failed-machine-reclaim",
  severity: Severity.CRITICAL,
  description: "the machine was released, but its old system phones home",
  details: ({ observed }) => when(observed?.events?.state === MachineProvisioningEventState.FAILED_RECLAIM),
};
