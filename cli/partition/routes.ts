import { buildCommand, type RouteMapBuilderArguments } from "@stricli/core";
import type { Cli } from "../cli.ts";
import { connectFlags, outputFlag, positional } from "../flags.ts";

/** What administrators do with a partition beyond what every kind of thing has. */
export const partitionRoutes: RouteMapBuilderArguments<string, Cli>["routes"] = {
  history: buildCommand({
    loader: async () => (await import("./history.ts")).partitionHistory,
    parameters: {
      flags: { ...connectFlags, ...outputFlag("table") },
      aliases: { o: "output" },
      positional: positional("ID"),
    },
    docs: { brief: "What the agent holds back since this central was restored, and what would come of it" },
  }),
  "accept-history": buildCommand({
    loader: async () => (await import("./history.ts")).acceptHistory,
    parameters: {
      flags: connectFlags,
      positional: {
        kind: "tuple",
        parameters: [positional("ID").parameters[0], { ...positional("HISTORY").parameters[0], optional: true }],
      },
    },
    docs: { brief: "Let the agent act on this central's history, after a restore and a look at what is held" },
  }),
};
