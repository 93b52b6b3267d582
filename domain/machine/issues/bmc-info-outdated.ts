import { timestampMs } from "@bufbuild/protobuf/wkt";
import { MachineIssueSeverity as Severity, MachineIssueType as Type } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Issue, when } from "./issue.ts";

const outdatedMs = 20 * 60_000;

export const bmcInfoOutdated: Issue = {
  type: Type.BMC_INFO_OUTDATED,
  name: "bmc-info-outdated",
  severity: Severity.MAJOR,
  description: "the machine's BMC has not been read for more than 20 minutes",
  details: ({ observed }, { nowMs }) =>
    when(observed?.bmcUpdatedAt !== undefined && nowMs - timestampMs(observed.bmcUpdatedAt) > outdatedMs),
};
