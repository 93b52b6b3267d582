import { MachineIssueSeverity as Severity, MachineIssueType as Type } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { MachineView } from "../placement.ts";
import { asnTag } from "../tags.ts";
import { type Issue, shared } from "./issue.ts";

export const asnOf = ({ desired }: MachineView): string => desired.allocation?.meta?.labels?.labels[asnTag] ?? "";

export const asnNotUnique: Issue = {
  type: Type.ASN_UNIQUENESS,
  name: "asn-not-unique",
  severity: Severity.MINOR,
  description: "another machine has the same ASN",
  details: (machine, { byAsn }) => shared(asnOf(machine), machine, byAsn),
};
