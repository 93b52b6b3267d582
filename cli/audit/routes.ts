import { buildCommand, type RouteMapBuilderArguments } from "@stricli/core";
import type { Cli } from "../cli.ts";
import { between, connectFlags, outputFlag, positional, text } from "../flags.ts";

const shared = {
  ...connectFlags,
  ...outputFlag("table"),
  tenant: text("What a tenant sees, for its owner; unless given everything, for administrators", "LOGIN"),
  phase: { kind: "enum", values: ["request", "response"], optional: true, brief: "Only how calls began, or ended" },
} as const;

/** The records of calls, and of what people did on site. */
export const auditRoutes: RouteMapBuilderArguments<string, Cli>["routes"] = {
  list: buildCommand({
    loader: async () => (await import("./audit.ts")).listAudit,
    parameters: {
      flags: {
        ...shared,
        user: text("Who called, such as ann, or site:ann on site", "USER"),
        project: text("Project that it was about", "UUID"),
        method: text("Full name of the call, such as metalstack.api.v2.IPService/Create", "METHOD"),
        address: text("Where it came from", "IP"),
        code: text("How it ended, such as 0, 7 or PermissionDenied", "CODE"),
        body: text("Words of the request or answer, exactly", "TEXT"),
        from: text("From when on: a time, or how long ago; unless given 8h", "TIME|DURATION"),
        to: text("Until when; unless given now", "TIME|DURATION"),
        limit: {
          kind: "parsed",
          parse: between(1, 1000),
          default: "200",
          brief: "Most traces to show, of which a call has two; at most 1000",
          placeholder: "COUNT",
        },
      },
      aliases: { o: "output", p: "project" },
    },
    docs: { brief: "Who called what and how it ended, newest first" },
  }),
  get: buildCommand({
    loader: async () => (await import("./audit.ts")).getAudit,
    parameters: { flags: shared, aliases: { o: "output" }, positional: positional("ID") },
    docs: { brief: "All that is known of one call" },
  }),
};
