import { timestampMs } from "@bufbuild/protobuf/wkt";
import { MachineIssueSeverity as Severity, MachineIssueType as Type } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Issue } from "./issue.ts";

export const lastEventError: Issue = {
  type: Type.LAST_EVENT_ERROR,
  name: "last-event-error",
  severity: Severity.MINOR,
  description: "the machine had an erroneous event lately",
  details: ({ observed }, { nowMs, lastErrorMs }) => {
    const error = observed?.events?.lastErrorEvent;
    return error?.time && nowMs - timestampMs(error.time) <= lastErrorMs ? error.message : undefined;
  },
};
