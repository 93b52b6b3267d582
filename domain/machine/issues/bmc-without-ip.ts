import { MachineIssueSeverity as Severity, MachineIssueType as Type } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const bmcWithoutIp: Issue = {
  type: Type.BMC_WITHOUT_IP,
  name: "bmc-without-ip",
  severity: Severity.MAJOR,
  description: "the address of the machine's BMC is not known",
  details: ({ observed }) => when(!observed?.bmc?.address),
};
