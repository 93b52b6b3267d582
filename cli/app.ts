// Every command: its name, what it takes, and where its code is. The code is loaded when the command is run.

import { buildInstallCommand, buildUninstallCommand } from "@stricli/auto-complete";
import {
  type Application,
  buildApplication,
  buildCommand,
  buildRouteMap,
  type Command,
  type CommandContext,
  type RouteMapBuilderArguments,
  text_en,
} from "@stricli/core";
import { auditRoutes } from "./audit/routes.ts";
import { budgetRoutes } from "./budget/routes.ts";
import type { Cli } from "./cli.ts";
import { describeOf, type ListFlags, listOf } from "./command/list.ts";
import { planFlags } from "./command/plan.ts";
import { Failure } from "./failure.ts";
import { between, connectFlags, duration, needed, outputFlag, positional, scopeFlags, several, text } from "./flags.ts";
import { certificateRoutes, joinTokenRoutes } from "./join/routes.ts";
import type { Shown } from "./kind/kind.ts";
import { machineRoutes } from "./machine/routes.ts";
import { partitionRoutes } from "./partition/routes.ts";
import { projectRoutes } from "./project/routes.ts";
import { siteRoutes } from "./site/routes.ts";

type Routes = RouteMapBuilderArguments<string, Cli>["routes"];

const short = { o: "output", p: "project" } as const;

/** `list` and `describe ID`, which every kind of thing has. */
function shownRoutes(noun: string, load: () => Promise<{ readonly kind: Shown }>): Routes {
  return {
    list: buildCommand<ListFlags, [], Cli>({
      loader: async () => listOf(load),
      parameters: { flags: { ...scopeFlags, ...outputFlag("table") }, aliases: short },
      docs: { brief: `List every ${noun}` },
    }),
    describe: buildCommand<ListFlags, [string], Cli>({
      loader: async () => describeOf(noun, load),
      parameters: { flags: { ...scopeFlags, ...outputFlag("yaml") }, aliases: short, positional: positional("ID") },
      docs: { brief: `Show one ${noun} in full` },
    }),
  };
}

const fileFlags = {
  ...connectFlags,
  ...outputFlag("table"),
  file: needed(
    "YAML or JSON of the thing as `describe` shows it; several separated by ---; - for the standard input",
    "FILE",
  ),
} as const;

type FileCreator = keyof Pick<
  typeof import("./command/from-file.ts"),
  "createPartition" | "createSize" | "createImage" | "createLayout"
>;

const fromFile = (noun: string, name: FileCreator): Routes => ({
  create: buildCommand({
    loader: async () => (await import("./command/from-file.ts"))[name],
    parameters: { flags: fileFlags, aliases: { o: "output", f: "file" } },
    docs: { brief: `Create each ${noun} of a file` },
  }),
});

const described = {
  description: text("What it is for, at most 256 characters", "TEXT"),
  label: several("Label, may be given several times", "KEY=VALUE"),
} as const;

const createNetwork = buildCommand({
  loader: async () => (await import("./command/create.ts")).createNetwork,
  parameters: {
    flags: {
      ...scopeFlags,
      ...outputFlag("table"),
      ...described,
      name: text("Name of 2 to 128 characters", "NAME"),
      partition: text("Partition that the network lies in", "ID"),
      parent: text("Network to take the prefix from", "ID"),
      length: {
        kind: "parsed",
        parse: between(1, 32),
        optional: true,
        brief: "IPv4 prefix length",
        placeholder: "BITS",
      },
      family: { kind: "enum", values: ["ipv4", "ipv6", "dual-stack"], optional: true, brief: "Address family" },
      file: text("Network of any type, for administrators, in YAML or JSON", "FILE"),
    },
    aliases: { ...short, f: "file" },
  },
  docs: { brief: "Create a network for a project, or any network from a file" },
});

const deleteNetwork = buildCommand({
  loader: async () => (await import("./command/delete-network.ts")).deleteNetwork,
  parameters: { flags: { ...scopeFlags, ...planFlags }, aliases: { p: "project" }, positional: positional("ID") },
  docs: { brief: "Delete a network that nothing uses" },
});

const migrateSwitch = buildCommand({
  loader: async () => (await import("./command/migrate-switch.ts")).migrateSwitch,
  parameters: { flags: { ...connectFlags, ...planFlags }, positional: positional("OLD", "NEW") },
  docs: { brief: "Hand the machines of a switch to another of its rack" },
});

const createProject = buildCommand({
  loader: async () => (await import("./command/create.ts")).createProject,
  parameters: {
    flags: {
      ...connectFlags,
      ...outputFlag("table"),
      ...described,
      tenant: needed("Login of the tenant that it belongs to", "LOGIN"),
      name: needed("Name of 2 to 128 characters", "NAME"),
    },
    aliases: { o: "output" },
  },
  docs: { brief: "Create a project" },
});

const createTenant = buildCommand({
  loader: async () => (await import("./command/create.ts")).createTenant,
  parameters: {
    flags: {
      ...scopeFlags,
      ...outputFlag("table"),
      ...described,
      name: needed("Name of 2 to 128 characters", "NAME"),
      email: text("Address of the people behind it", "ADDRESS"),
    },
    aliases: short,
  },
  docs: { brief: "Create a tenant" },
});

const tokenRoutes: Routes = {
  create: buildCommand({
    loader: async () => (await import("./command/token.ts")).createToken,
    parameters: {
      flags: {
        ...connectFlags,
        ...outputFlag("table"),
        description: {
          kind: "parsed",
          parse: String,
          default: "made with holdfast token create",
          brief: "What it is for",
        },
        expires: {
          kind: "parsed",
          parse: duration,
          default: "8h",
          brief: "Life, 10m to 365d",
          placeholder: "DURATION",
        },
        projectRole: several("Role in a project: owner, editor or viewer", "UUID=ROLE"),
        tenantRole: several("Role in a tenant: owner, editor, viewer or guest", "LOGIN=ROLE"),
        machineRole: several("Role for a machine: editor or viewer", "UUID=ROLE"),
        adminRole: { kind: "enum", values: ["editor", "viewer"], optional: true, brief: "Role over everything" },
        infraRole: {
          kind: "enum",
          values: ["editor", "viewer"],
          optional: true,
          brief: "Role of a partition's daemon",
        },
        user: text("Somebody else whose token it is, for administrators", "USER"),
      },
      aliases: { o: "output" },
    },
    docs: { brief: "Create a token and write its secret to the output" },
  }),
  revoke: buildCommand({
    loader: async () => (await import("./command/token.ts")).revokeToken,
    parameters: {
      flags: { ...connectFlags, user: text("Somebody else whose token it is, for administrators", "USER") },
      positional: positional("UUID"),
    },
    docs: { brief: "Make a token worthless at once" },
  }),
};

const history = buildCommand({
  loader: async () => (await import("./command/history.ts")).history,
  parameters: {
    flags: {
      ...connectFlags,
      ...outputFlag("table"),
      project: text("Project to act in (HOLDFAST_PROJECT)", "UUID"),
      at: text("What it was like at a revision or a time", "REVISION|TIME"),
      diff: text("What differs between two of them; without TO, until now", "FROM..TO"),
      limit: {
        kind: "parsed",
        parse: between(1, 200),
        default: "50",
        brief: "Changes to show, at most 200",
        placeholder: "N",
      },
    },
    aliases: short,
    positional: positional("KIND", "ID"),
  },
  docs: { brief: "Who changed a thing, when and why, and what it was like before" },
});

const serverFlags = { flags: { ...connectFlags, ...outputFlag("table") }, aliases: { o: "output" } } as const;

const ownRoutes: Routes = {
  login: buildCommand({
    loader: async () => (await import("./command/login.ts")).login,
    parameters: {
      flags: {
        server: needed("URL of the server", "URL"),
        tokenFile: text("File with the bearer token, - for the standard input", "FILE"),
        device: { kind: "boolean", default: false, brief: "Get a token by a login in a browser, on any computer" },
        ca: text("PEM file of the CA that signed the server's certificate", "FILE"),
        project: text("Project to act in unless told otherwise", "UUID"),
        name: {
          kind: "parsed",
          parse: String,
          default: "default",
          brief: "Name to store it under",
          placeholder: "NAME",
        },
      },
    },
    docs: { brief: "Store a server and a token, after trying them; the token comes from a file or by a login" },
  }),
  logout: buildCommand({
    loader: async () => (await import("./command/login.ts")).logout,
    parameters: { flags: { name: text("Stored login to forget; the current one unless given", "NAME") } },
    docs: { brief: "Forget a server and its token" },
  }),
  context: buildRouteMap({
    routes: {
      list: buildCommand({
        loader: async () => (await import("./command/login.ts")).listContexts,
        parameters: {},
        docs: { brief: "List the stored logins; * is the current one" },
      }),
      use: buildCommand({
        loader: async () => (await import("./command/login.ts")).useContext,
        parameters: { positional: positional("NAME") },
        docs: { brief: "Make another login the current one" },
      }),
      project: buildCommand({
        loader: async () => (await import("./command/login.ts")).useProject,
        parameters: { positional: positional("UUID") },
        docs: { brief: "Choose the project that commands act in" },
      }),
    },
    defaultCommand: "list",
    docs: { brief: "Stored logins" },
  }),
  version: buildCommand({
    loader: async () => (await import("./command/server.ts")).version,
    parameters: serverFlags,
    docs: { brief: "Versions of this program and of the server" },
  }),
  health: buildCommand({
    loader: async () => (await import("./command/server.ts")).health,
    parameters: serverFlags,
    docs: { brief: "How the server and the partitions are; ends with 1 when something is unhealthy" },
  }),
};

/** The library asks for all of Node's `process`; it uses the streams and the environment, which ours has. */
const ownContext = (command: Command<never>): Command<Cli> => command as Command<CommandContext> as Command<Cli>;

const completion = buildRouteMap({
  routes: {
    install: ownContext(buildInstallCommand("holdfast", { bash: "holdfast completion propose --" })),
    uninstall: ownContext(buildUninstallCommand("holdfast", { bash: true })),
    propose: buildCommand({
      loader: async () => (await import("./command/propose.ts")).proposeFor(app),
      parameters: {
        positional: { kind: "array", parameter: { brief: "Words so far", parse: String, placeholder: "WORD" } },
      },
      docs: { brief: "Propose how a line may go on" },
    }),
  },
  docs: { brief: "Completion for bash", hideRoute: { propose: true } },
});

const group = (brief: string, routes: Routes) => buildRouteMap({ routes, docs: { brief } });

export const app: Application<Cli> = buildApplication(
  buildRouteMap({
    routes: {
      ...ownRoutes,
      machine: group("Servers", { ...shownRoutes("machine", () => import("./kind/machine.ts")), ...machineRoutes }),
      partition: group("Datacenters", {
        ...shownRoutes("partition", () => import("./kind/partition.ts")),
        ...fromFile("partition", "createPartition"),
        ...partitionRoutes,
        ...certificateRoutes,
      }),
      central: group("Central itself", joinTokenRoutes),
      budget: group("What partitions may give away while they are cut off", budgetRoutes),
      image: group("Operating systems", {
        ...shownRoutes("image", () => import("./kind/image.ts")),
        ...fromFile("image", "createImage"),
      }),
      size: group("Classes of equal servers", {
        ...shownRoutes("size", () => import("./kind/size.ts")),
        ...fromFile("size", "createSize"),
      }),
      layout: group("How disks are divided", {
        ...shownRoutes("filesystem layout", () => import("./kind/layout.ts")),
        ...fromFile("filesystem layout", "createLayout"),
      }),
      network: group("Networks", {
        ...shownRoutes("network", () => import("./kind/network.ts")),
        create: createNetwork,
        delete: deleteNetwork,
      }),
      ip: group(
        "Addresses",
        shownRoutes("IP address", () => import("./kind/ip.ts")),
      ),
      switch: group("Leaf switches", {
        ...shownRoutes("switch", () => import("./kind/switch.ts")),
        migrate: migrateSwitch,
      }),
      project: group("Projects", {
        ...shownRoutes("project", () => import("./kind/project.ts")),
        create: createProject,
        ...projectRoutes,
      }),
      tenant: group("Tenants", { ...shownRoutes("tenant", () => import("./kind/tenant.ts")), create: createTenant }),
      site: group("The agent of this datacenter, with or without central", siteRoutes),
      token: group("Tokens", { ...shownRoutes("token", () => import("./kind/token.ts")), ...tokenRoutes }),
      audit: group("Who called what, and what people did on site", auditRoutes),
      history,
      completion,
    },
    docs: { brief: "Holdfast: servers as a cloud, in datacenters that keep working when the link drops" },
  }),
  {
    name: "holdfast",
    scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
    documentation: { caseStyle: "convert-camel-to-kebab", useAliasInUsageLine: true, onlyRequiredInUsageLine: true },
    determineExitCode: (error) => (error instanceof Failure ? error.exitCode : 1),
    localization: {
      text: {
        ...text_en,
        exceptionWhileRunningCommand: (error) =>
          error instanceof Failure
            ? `holdfast: ${error.message}`
            : `holdfast: ${error instanceof Error ? error.stack : error}`,
      },
    },
  },
);
