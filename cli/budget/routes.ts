import { buildCommand, type RouteMapBuilderArguments } from "@stricli/core";
import type { Cli } from "../cli.ts";
import { connectFlags, needed, outputFlag, positional, text } from "../flags.ts";

function amount(given: string): number {
  if (!/^\d{1,2}$/.test(given)) throw new Error("a whole number of at most two digits is wanted");
  return Number(given);
}

const count = (brief: string) => ({ kind: "parsed", parse: amount, brief, placeholder: "N" }) as const;

const amounts = {
  machines: count("Machines that are kept ready for it, at most 32"),
  addresses: count("Addresses, of each family of the network, and of each that is delegated, at most 64"),
};

const networks = count("Private networks that the partition may make, at most 8");

const shown = { ...connectFlags, ...outputFlag("table") };

/** What administrators let partitions give away by themselves. */
export const budgetRoutes: RouteMapBuilderArguments<string, Cli>["routes"] = {
  grant: buildCommand({
    loader: async () => (await import("./budgets.ts")).grantBudget,
    parameters: {
      flags: {
        ...shown,
        partition: needed("Partition that may give it away", "ID"),
        project: needed("Project that may have it", "UUID"),
        size: needed("Size of the machines", "ID"),
        network: text("Private network that they join, and that the addresses are of", "ID"),
        ...amounts,
        networks: { ...networks, default: "0" },
        parent: text("Super network that private networks are cut out of", "ID"),
      },
      aliases: { o: "output" },
    },
    docs: {
      brief: "Delegate machines, addresses and networks to a partition, which it can give away while it is cut off",
    },
  }),
  list: buildCommand({
    loader: async () => (await import("./budgets.ts")).listBudgets,
    parameters: {
      flags: {
        ...shown,
        partition: text("Those of one partition", "ID"),
        project: text("Those of one project", "UUID"),
      },
      aliases: { o: "output" },
    },
    docs: { brief: "List budgets, what is left of them, and why not all of one can be used" },
  }),
  resize: buildCommand({
    loader: async () => (await import("./budgets.ts")).resizeBudget,
    parameters: {
      flags: { ...shown, ...amounts, networks: { ...networks, optional: true } },
      aliases: { o: "output" },
      positional: positional("ID"),
    },
    docs: { brief: "Ask for more or less of it" },
  }),
  revoke: buildCommand({
    loader: async () => (await import("./budgets.ts")).revokeBudget,
    parameters: {
      flags: {
        ...connectFlags,
        force: {
          kind: "boolean",
          default: false,
          brief: "Also when its agent has lost its disk: all its machines are isolated and wiped",
        },
      },
      positional: positional("ID"),
    },
    docs: { brief: "Take all of it back; it goes when its agent has said that it uses none of it" },
  }),
};
