import { toJson } from "@bufbuild/protobuf";
import { stringify } from "yaml";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import {
  type MachineIssue,
  MachineIssueSeveritySchema,
  MachineIssuesSchema,
  MachineIssueTypeSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { enumText, enumValue } from "../view/enum-text.ts";
import { jsonText } from "../view/output.ts";
import { type Column, table } from "../view/table.ts";

export type IssuesFlags = ConnectFlags &
  OutputFlags & { readonly severity?: "minor" | "major" | "critical" | undefined };

interface Row {
  readonly uuid: string;
  readonly issue: MachineIssue;
}

const columns: readonly Column<Row>[] = [
  { title: "MACHINE", of: (r) => r.uuid },
  { title: "SEVERITY", of: (r) => enumText(MachineIssueSeveritySchema, r.issue.severity) },
  { title: "ISSUE", of: (r) => enumText(MachineIssueTypeSchema, r.issue.type) },
  { title: "DESCRIPTION", of: (r) => r.issue.description },
  { title: "DETAILS", of: (r) => r.issue.details },
  { title: "READ", of: (r) => r.issue.referenceUrl, wide: true },
];

export async function machineIssues(this: Cli, flags: IssuesFlags): Promise<void> {
  await withApi(this, flags, async (api) => {
    const severity = flags.severity && enumValue(MachineIssueSeveritySchema, flags.severity);
    const query = severity === undefined ? {} : { severity };
    const { issues } = await api.client(AdminMachineService).issues({ query });
    if (flags.output === "json" || flags.output === "yaml") {
      const json = issues.map((i) => toJson(MachineIssuesSchema, i));
      return say(this, flags.output === "json" ? jsonText(json) : stringify(json));
    }
    const rows = issues.flatMap((m) => m.issues.map((issue) => ({ uuid: m.uuid, issue })));
    say(this, table(rows, columns, flags.output === "wide" ? "wide" : "narrow"));
  });
}
