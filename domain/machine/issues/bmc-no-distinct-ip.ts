import { MachineIssueSeverity as Severity, MachineIssueType as Type } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { MachineView } from "../placement.ts";
import { type Issue, shared } from "./issue.ts";

export const bmcAddressOf = ({ observed }: MachineView): string => observed?.bmc?.address ?? "";

export const bmcNoDistinctIp: Issue = {
  type: Type.BMC_NON_DISTINCT_IP,
  name: "bmc-no-distinct-ip",
  severity: Severity.MAJOR,
  description: "another machine's BMC has the same address",
  details: (machine, { byBmcAddress }) => shared(bmcAddressOf(machine), machine, byBmcAddress),
};
