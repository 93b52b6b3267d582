import {
  MachineLiveliness,
  MachineIssueSeverity as Severity,
  MachineIssueType as Type,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const livelinessUnknown: Issue = {
  type: Type.LIVELINESS_UNKNOWN,
  name: "liveliness-unknown",
  severity: Severity.MAJOR,
  description: "the machine is in use and sends no phone-home any more",
  details: ({ observed }) => when(observed?.liveliness === MachineLiveliness.UNKNOWN),
};
