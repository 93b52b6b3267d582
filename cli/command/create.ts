import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { NetworkAddressFamilySchema, NetworkSchema, NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectSchema, ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { TenantSchema, TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { parseLabels } from "../argument.ts";
import { type Cli, say, wanted, withApi } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { ConnectFlags, OutputFlags, ScopeFlags } from "../flags.ts";
import { enumValue } from "../view/enum-text.ts";
import { createdText, createNetworkFromFile } from "./from-file.ts";

interface Described {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly label?: readonly string[] | undefined;
}

export type NetworkFlags = ScopeFlags &
  OutputFlags &
  Described & {
    readonly file?: string | undefined;
    readonly partition?: string | undefined;
    readonly parent?: string | undefined;
    readonly length?: number | undefined;
    readonly family?: "ipv4" | "ipv6" | "dual-stack" | undefined;
  };

export async function createNetwork(this: Cli, flags: NetworkFlags): Promise<void> {
  if (flags.file !== undefined) return createNetworkFromFile.call(this, { ...flags, file: flags.file });
  const labels = wanted(parseLabels(flags.label ?? []));
  await withApi(this, flags, async (api, target) => {
    const project = flags.project ?? target.project;
    if (project === undefined) throw new Failure("--project is needed, or --file for a network without one", 2);
    const family = flags.family === undefined ? undefined : enumValue(NetworkAddressFamilySchema, flags.family);
    const made = await api.client(NetworkService).create({
      project,
      ...given("name", flags.name),
      ...given("description", flags.description),
      ...given("partition", flags.partition),
      ...given("parentNetwork", flags.parent),
      ...given("addressFamily", family),
      ...(flags.length === undefined ? {} : { length: { ipv4: flags.length } }),
      labels: { labels },
    });
    if (made.network) say(this, createdText(NetworkSchema, made.network, flags.output));
  });
}

export type ProjectFlags = ConnectFlags & OutputFlags & Described & { readonly tenant: string; readonly name: string };

export async function createProject(this: Cli, flags: ProjectFlags): Promise<void> {
  const labels = wanted(parseLabels(flags.label ?? []));
  await withApi(this, flags, async (api) => {
    const made = await api.client(ProjectService).create({
      login: flags.tenant,
      name: flags.name,
      description: flags.description ?? "",
      labels: { labels },
    });
    if (made.project) say(this, createdText(ProjectSchema, made.project, flags.output));
  });
}

export type TenantFlags = ScopeFlags &
  OutputFlags &
  Described & { readonly name: string; readonly email?: string | undefined };

export async function createTenant(this: Cli, flags: TenantFlags): Promise<void> {
  const labels = wanted(parseLabels(flags.label ?? []));
  await withApi(this, flags, async (api) => {
    const request = {
      name: flags.name,
      ...given("description", flags.description),
      ...given("email", flags.email),
      labels: { labels },
    };
    const made = flags.admin
      ? await api.client(AdminTenantService).create(request)
      : await api.client(TenantService).create(request);
    if (made.tenant) say(this, createdText(TenantSchema, made.tenant, flags.output));
  });
}

/** A property only when there is a value: optional fields of a request are absent, never empty. */
export const given = <K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
