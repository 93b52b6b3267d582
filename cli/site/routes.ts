import { buildCommand, type RouteMapBuilderArguments } from "@stricli/core";
import type { Cli } from "../cli.ts";
import { outputFlag, positional } from "../flags.ts";
import { siteFlags } from "./with-site.ts";

const shown = { flags: { ...siteFlags, ...outputFlag("table") }, aliases: { o: "output" } } as const;

/** What people in a datacenter ask of its agent, with or without central. */
export const siteRoutes: RouteMapBuilderArguments<string, Cli>["routes"] = {
  status: buildCommand({
    loader: async () => (await import("./status.ts")).siteStatus,
    parameters: shown,
    docs: { brief: "How the agent, its link and its machines are" },
  }),
  link: buildCommand({
    loader: async () => (await import("./status.ts")).siteLink,
    parameters: shown,
    docs: { brief: "Whether central is reached, since when, and what waits for it" },
  }),
  machines: buildCommand({
    loader: async () => (await import("./machines.ts")).siteMachines,
    parameters: shown,
    docs: { brief: "List the machines of this datacenter" },
  }),
  why: buildCommand({
    loader: async () => (await import("./machines.ts")).siteWhy,
    parameters: { ...shown, positional: positional("MACHINE") },
    docs: { brief: "What a machine waits for, and all else that is known of it" },
  }),
  power: buildCommand({
    loader: async () => (await import("./orders.ts")).sitePower,
    parameters: { ...shown, positional: positional("MACHINE", "on|off|reset|cycle|status") },
    docs: { brief: "Switch a machine on or off or start it anew, and wait until it is done; or ask its BMC" },
  }),
  "boot-target": buildCommand({
    loader: async () => (await import("./orders.ts")).siteBootTarget,
    parameters: {
      ...shown,
      positional: {
        kind: "tuple",
        parameters: [
          positional("MACHINE").parameters[0],
          { ...positional("disk|pxe|bios").parameters[0], optional: true },
        ],
      },
    },
    docs: {
      brief: "Where a machine must boot from, and what its BMC is set to; or set that: disk for good, else once",
    },
  }),
  identify: buildCommand({
    loader: async () => (await import("./orders.ts")).siteIdentify,
    parameters: { ...shown, positional: positional("MACHINE", "on|off") },
    docs: { brief: "Light the lamp by which people find a machine" },
  }),
  console: buildCommand({
    loader: async () => (await import("./console.ts")).siteConsole,
    parameters: {
      flags: {
        ...siteFlags,
        takeOver: { kind: "boolean", optional: true, brief: "End the console of whoever has it" },
      },
      positional: positional("MACHINE"),
    },
    docs: { brief: "A machine's serial console; ~. at the beginning of a line leaves it" },
  }),
  leases: buildCommand({
    loader: async () => (await import("./records.ts")).siteLeases,
    parameters: shown,
    docs: { brief: "Addresses that DHCP has given out" },
  }),
  outbox: buildCommand({
    loader: async () => (await import("./records.ts")).siteOutbox,
    parameters: shown,
    docs: { brief: "What waits for central, and what central will never take" },
  }),
  audit: buildCommand({
    loader: async () => (await import("./records.ts")).siteAudit,
    parameters: {
      flags: {
        ...shown.flags,
        limit: { kind: "parsed", parse: limit, default: "100", brief: "Most traces to show", placeholder: "COUNT" },
      },
      aliases: shown.aliases,
    },
    docs: { brief: "What people on site have done here, newest first" },
  }),
  history: buildCommand({
    loader: async () => (await import("./history.ts")).siteHistory,
    parameters: shown,
    docs: { brief: "What the agent holds back since central was restored, and what would come of it" },
  }),
  "accept-history": buildCommand({
    loader: async () => (await import("./history.ts")).siteAcceptHistory,
    parameters: { flags: siteFlags, positional: positional("HISTORY") },
    docs: { brief: "Let the agent act on the history that it holds, when central's own people cannot" },
  }),
  "rotate-token": buildCommand({
    loader: async () => (await import("./records.ts")).siteRotateToken,
    parameters: { flags: siteFlags },
    docs: { brief: "Make the site's token anew; the former one is worthless at once" },
  }),
};

function limit(given: string): number {
  if (!/^\d{1,5}$/.test(given) || Number(given) < 1 || Number(given) > 10_000) throw new Error("1 to 10000 is wanted");
  return Number(given);
}
