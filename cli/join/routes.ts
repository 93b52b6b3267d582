import { buildCommand, buildRouteMap, type RouteMapBuilderArguments } from "@stricli/core";
import type { Cli } from "../cli.ts";
import { connectFlags, duration, needed, outputFlag, positional, text } from "../flags.ts";

type Routes = RouteMapBuilderArguments<string, Cli>["routes"];

/** What administrators do at central so that agents can join. */
export const joinTokenRoutes: Routes = {
  "join-token": buildRouteMap({
    routes: {
      create: buildCommand({
        loader: async () => (await import("./join-tokens.ts")).createJoinToken,
        parameters: {
          flags: {
            ...connectFlags,
            ...outputFlag("table"),
            partition: needed("Partition that the agent serves", "ID"),
            endpoint: text("URL of central as the agent reaches it; as you reach it unless given", "URL"),
            expires: {
              kind: "parsed",
              parse: duration,
              default: "24h",
              brief: "How long it can be used, 1m to 30d",
              placeholder: "DURATION",
            },
          },
          aliases: { o: "output" },
        },
        docs: { brief: "Create a join token and write it to the output: one agent can join by it, once" },
      }),
      list: buildCommand({
        loader: async () => (await import("./join-tokens.ts")).listJoinTokens,
        parameters: {
          flags: { ...connectFlags, ...outputFlag("table"), partition: text("Those of one partition", "ID") },
          aliases: { o: "output" },
        },
        docs: { brief: "List join tokens and what became of them" },
      }),
      revoke: buildCommand({
        loader: async () => (await import("./join-tokens.ts")).revokeJoinToken,
        parameters: { flags: connectFlags, positional: positional("ID") },
        docs: { brief: "Make a join token that nobody has used worthless" },
      }),
    },
    docs: { brief: "By which agents join" },
  }),
};

/** What administrators do about the agent of a partition that has joined. */
export const certificateRoutes: Routes = {
  certificates: buildCommand({
    loader: async () => (await import("./certificates.ts")).listCertificates,
    parameters: {
      flags: { ...connectFlags, ...outputFlag("table") },
      aliases: { o: "output" },
      positional: positional("ID"),
    },
    docs: { brief: "List the certificates by which central knows the agent" },
  }),
  "revoke-certificates": buildCommand({
    loader: async () => (await import("./certificates.ts")).revokeCertificates,
    parameters: {
      flags: connectFlags,
      positional: {
        kind: "tuple",
        parameters: [positional("ID").parameters[0], { ...positional("SERIAL").parameters[0], optional: true }],
      },
    },
    docs: { brief: "End the agent's link: its certificates, or the one named, are worthless from now on" },
  }),
};
