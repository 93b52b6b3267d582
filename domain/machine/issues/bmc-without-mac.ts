import { MachineIssueSeverity as Severity, MachineIssueType as Type } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

export const bmcWithoutMac: Issue = {
  type: Type.BMC_WITHOUT_MAC,
  name: "bmc-without-mac",
  severity: Severity.MAJOR,
  description: "the MAC of the machine's BMC is not known",
  details: ({ observed }) => when(!observed?.bmc?.mac),
};
