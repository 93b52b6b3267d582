import { buildCommand, type RouteMapBuilderArguments } from "@stricli/core";
import type { Cli } from "../cli.ts";
import { planFlags } from "../command/plan.ts";
import { connectFlags, needed, outputFlag, positional, scopeFlags, several, text, waitFlags } from "../flags.ts";

const createFlags = {
  project: text("Project that it is for (HOLDFAST_PROJECT)", "UUID"),
  uuid: text("One certain machine, instead of --size and --partition; for administrators", "UUID"),
  size: text("Size to choose from", "ID"),
  partition: text("Partition to choose from", "ID"),
  image: needed("Operating system: an image, or its beginning such as debian-12", "ID"),
  network: {
    kind: "parsed",
    parse: String,
    variadic: true,
    brief: "Network to join, perhaps with addresses that exist already; may be given several times",
    placeholder: "ID[=IP,IP]",
  },
  name: needed("Name of 2 to 128 characters", "NAME"),
  uniqueName: {
    kind: "boolean",
    default: false,
    brief: "Refuse it if the project has, or later gets, another of the name",
  },
  hostname: text("Host name of the operating system", "NAME"),
  description: text("What it is for, at most 256 characters", "TEXT"),
  layout: text("Filesystem layout; found by size and image unless given", "ID"),
  sshKey: several("Public key, or @FILE with some; may be given several times", "KEY"),
  userdata: text("Cloud-init or ignition, or @FILE with it; at most 24 KiB", "TEXT"),
  label: several("Label, may be given several times", "KEY=VALUE"),
  firewall: { kind: "boolean", default: false, brief: "As a firewall, between its private and external networks" },
  rules: text("YAML or JSON of what the firewall lets through: egress and ingress; all else is dropped", "FILE"),
  ...planFlags,
  ...waitFlags,
  ...outputFlag("table"),
  ...connectFlags,
} as const;

const orderPlaceholders = { power: "on|off|reset|cycle", identify: "on|off", boot: "pxe|disk|bios" } as const;

export const machineRoutes: RouteMapBuilderArguments<string, Cli>["routes"] = {
  create: buildCommand({
    loader: async () => (await import("./create.ts")).createMachine,
    parameters: { flags: createFlags, aliases: { o: "output", p: "project" } },
    docs: { brief: "Take a free machine and have it installed" },
  }),
  delete: buildCommand({
    loader: async () => (await import("./delete.ts")).deleteMachine,
    parameters: {
      flags: { ...scopeFlags, ...planFlags, ...waitFlags },
      aliases: { p: "project" },
      positional: positional("UUID"),
    },
    docs: { brief: "Give a machine back; everything on it is wiped" },
  }),
  reinstall: buildCommand({
    loader: async () => (await import("./reinstall.ts")).reinstallMachine,
    parameters: {
      flags: {
        ...scopeFlags,
        image: text("Operating system: an image, or its beginning such as debian-12; unless given, the same", "ID"),
        dryRun: { kind: "boolean", optional: true, brief: "Change nothing, show which disks would be overwritten" },
        ...waitFlags,
      },
      aliases: { p: "project" },
      positional: positional("UUID"),
    },
    docs: { brief: "Put another operating system onto a machine; its other disks stay as they are" },
  }),
  "abort-reinstall": buildCommand({
    loader: async () => (await import("./reinstall.ts")).abortReinstall,
    parameters: { flags: scopeFlags, aliases: { p: "project" }, positional: positional("UUID") },
    docs: { brief: "Call a reinstallation off, as long as the old system is not overwritten; that boots again" },
  }),
  power: buildCommand({
    loader: async () => (await import("./command.ts")).powerMachine,
    parameters: {
      flags: scopeFlags,
      aliases: { p: "project" },
      positional: positional("UUID", orderPlaceholders.power),
    },
    docs: { brief: "Switch a machine on or off, or start it anew" },
  }),
  identify: buildCommand({
    loader: async () => (await import("./command.ts")).identifyMachine,
    parameters: {
      flags: scopeFlags,
      aliases: { p: "project" },
      positional: positional("UUID", orderPlaceholders.identify),
    },
    docs: { brief: "Light the lamp by which people find a machine" },
  }),
  boot: buildCommand({
    loader: async () => (await import("./command.ts")).bootMachine,
    parameters: {
      flags: scopeFlags,
      aliases: { p: "project" },
      positional: positional("UUID", orderPlaceholders.boot),
    },
    docs: { brief: "Choose what a machine boots from next; it is not restarted" },
  }),
  state: buildCommand({
    loader: async () => (await import("./command.ts")).setMachineState,
    parameters: {
      flags: { ...connectFlags, ...outputFlag("table"), reason: text("Why, for those who find it so", "TEXT") },
      aliases: { o: "output" },
      positional: positional("UUID", "available|locked|tainted"),
    },
    docs: { brief: "Keep a machine from being given away (tainted), or also from being taken back (locked)" },
  }),
  issues: buildCommand({
    loader: async () => (await import("./issues.ts")).machineIssues,
    parameters: {
      flags: {
        ...connectFlags,
        ...outputFlag("table"),
        severity: {
          kind: "enum",
          values: ["minor", "major", "critical"],
          optional: true,
          brief: "Leave out what is less severe",
        },
      },
      aliases: { o: "output" },
    },
    docs: { brief: "What is wrong with machines" },
  }),
  why: buildCommand({
    loader: async () => (await import("./why.ts")).whyMachine,
    parameters: {
      flags: { ...scopeFlags, ...outputFlag("table") },
      aliases: { o: "output", p: "project" },
      positional: positional("UUID"),
    },
    docs: { brief: "What a machine waits for, since when, and what comes next" },
  }),
  reclaim: buildCommand({
    loader: async () => (await import("./reclaim.ts")).reclaimMachine,
    parameters: { flags: connectFlags, positional: positional("UUID") },
    docs: { brief: "Take back a machine that works for an allocation of which nothing is known; it is wiped" },
  }),
  forget: buildCommand({
    loader: async () => (await import("./forget.ts")).forgetMachine,
    parameters: {
      flags: {
        ...connectFlags,
        force: {
          kind: "boolean",
          default: false,
          brief:
            "I have seen that it is unplugged: give back what it holds, although its port was never seen isolated; wants --reason",
        },
      },
      positional: positional("UUID"),
    },
    docs: { brief: "Remove a free machine that is gone for good" },
  }),
  watch: buildCommand({
    loader: async () => (await import("./watch.ts")).watchMachines,
    parameters: {
      flags: { ...scopeFlags, ...outputFlag("table") },
      aliases: { o: "output", p: "project" },
      positional: {
        kind: "tuple",
        parameters: [{ brief: "Only this machine", parse: String, placeholder: "UUID", optional: true }],
      },
    },
    docs: { brief: "Show every change as it comes, until interrupted" },
  }),
};
