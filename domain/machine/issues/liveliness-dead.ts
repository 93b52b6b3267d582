import {
  MachineLiveliness,
  MachineIssueSeverity as Severity,
  MachineIssueType as Type,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const livelinessDead: Issue = {
  type: Type.LIVELINESS_DEAD,
  name: "liveliness-dead",
  severity: Severity.MAJOR,
  description: "the machine sends no events any more",
  details: ({ observed }) => when(observed?.liveliness === MachineLiveliness.DEAD),
};
