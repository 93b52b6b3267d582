import {
  MachineLiveliness,
  MachineIssueSeverity as Severity,
  MachineIssueType as Type,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const livelinessNotAvailable: Issue = {
  type: Type.LIVELINESS_NOT_AVAILABLE,
  name: "liveliness-not-available",
  severity: Severity.MINOR,
  description: "nothing is known of the machine's liveliness",
  details: ({ observed }) => when((observed?.liveliness ?? 0) === MachineLiveliness.UNSPECIFIED),
};
