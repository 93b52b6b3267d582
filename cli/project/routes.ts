import { buildCommand, buildRouteMap, type RouteMapBuilderArguments } from "@stricli/core";
import type { Cli } from "../cli.ts";
import { connectFlags, outputFlag, positional } from "../flags.ts";

const shared = { ...connectFlags, ...outputFlag("table") };

const limit = (noun: string) =>
  ({
    kind: "parsed",
    parse: amount,
    optional: true,
    brief: `Most ${noun} that it may have; no limit unless given`,
    placeholder: "N",
  }) as const;

function amount(given: string): number {
  if (!/^\d{1,9}$/.test(given)) throw new Error("a number of at most nine digits is wanted");
  return Number(given);
}

export const projectRoutes: RouteMapBuilderArguments<string, Cli>["routes"] = {
  quota: buildRouteMap({
    routes: {
      show: buildCommand({
        loader: async () => (await import("./quota.ts")).showQuota,
        parameters: { flags: shared, aliases: { o: "output" }, positional: positional("UUID") },
        docs: { brief: "Show what a project may have, and what it has" },
      }),
      set: buildCommand({
        loader: async () => (await import("./quota.ts")).setQuota,
        parameters: {
          flags: {
            ...shared,
            machines: limit("machines"),
            ips: limit("addresses, those of machines included"),
            networks: limit("networks"),
          },
          aliases: { o: "output" },
          positional: positional("UUID"),
        },
        docs: { brief: "Set all limits of a project; for administrators" },
      }),
    },
    docs: { brief: "How much a project may have" },
  }),
};
