import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  FirewallRulesSchema,
  type Machine,
  MachineAllocationType,
  MachineSchema,
  MachineService,
  type MachineServiceCreateRequestSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { fail } from "#lib/result.ts";
import { uniqueNameHeader } from "#lib/rpc/unique-name.ts";
import { type AskedNetwork, encodeUserdata, parseLabels, parseNetwork, sshKeys } from "../argument.ts";
import { type Api, type Cli, note, readFile, say, valueOrFile, wanted, withApi } from "../cli.ts";
import { given } from "../command/create.ts";
import { createdText, readDocuments } from "../command/from-file.ts";
import { dryRun, type PlanFlags, planned } from "../command/plan.ts";
import { Failure } from "../failure.ts";
import type { ConnectFlags, OutputFlags, WaitFlags } from "../flags.ts";
import { durationText, timestampMs } from "../view/time.ts";
import { installed } from "./verdict.ts";
import { waitFor } from "./wait.ts";

export type CreateFlags = ConnectFlags &
  OutputFlags &
  WaitFlags &
  PlanFlags & {
    readonly project?: string | undefined;
    readonly uuid?: string | undefined;
    readonly size?: string | undefined;
    readonly partition?: string | undefined;
    readonly image: string;
    readonly network: readonly string[];
    readonly name: string;
    readonly hostname?: string | undefined;
    readonly description?: string | undefined;
    readonly layout?: string | undefined;
    readonly sshKey?: readonly string[] | undefined;
    readonly userdata?: string | undefined;
    readonly label?: readonly string[] | undefined;
    readonly firewall: boolean;
    readonly rules?: string | undefined;
    readonly uniqueName: boolean;
  };

type CreateRequest = MessageInitShape<typeof MachineServiceCreateRequestSchema>;

export async function createMachine(this: Cli, flags: CreateFlags): Promise<void> {
  const content = await readContent(this, flags);
  await withApi(this, flags, async (api, target) => {
    const project = flags.project ?? target.project;
    if (project === undefined) throw new Failure("--project is needed", 2);
    const request = { ...content, project };
    const headers = { ...planned(flags).headers, ...(flags.uniqueName && { [uniqueNameHeader]: "true" }) };
    if (flags.dryRun) return dryRun(this, api, { case: "createMachine", value: request }, flags.output, { headers });
    const { machine } = await api.client(MachineService).create(request, { headers });
    if (!machine?.allocation) throw new Failure(`${target.server} answered without an allocated machine`);
    const final = flags.wait ? await waitUntilInstalled(this, api, machine, flags.timeout) : machine;
    say(this, createdText(MachineSchema, final, flags.output));
  });
}

/** Everything of the request that files and flags say; refused here before anything is asked of the server. */
async function readContent(cli: Cli, flags: CreateFlags): Promise<Omit<CreateRequest, "project" | "$typeName">> {
  if (flags.uuid === undefined && (flags.size === undefined || flags.partition === undefined)) {
    throw new Failure("--size and --partition are needed, or --uuid for one certain machine", 2);
  }
  const keys = await Promise.all((flags.sshKey ?? []).map((key) => valueOrFile(cli, key)));
  const userdata =
    flags.userdata === undefined ? undefined : wanted(encodeUserdata(await valueOrFile(cli, flags.userdata)));
  return {
    name: flags.name,
    image: flags.image,
    ...(await readRole(cli, flags)),
    networks: flags.network.map((asked) => toNetwork(wanted(parseNetwork(asked)))),
    sshPublicKeys: [...new Set(keys.flatMap(sshKeys))],
    labels: { labels: wanted(parseLabels(flags.label ?? [])) },
    ...given("uuid", flags.uuid),
    ...given("size", flags.size),
    ...given("partition", flags.partition),
    ...given("hostname", flags.hostname),
    ...given("description", flags.description),
    ...given("filesystemLayout", flags.layout),
    ...given("userdata", userdata),
  };
}

async function readRole(cli: Cli, { firewall, rules }: CreateFlags): Promise<Role> {
  if (!firewall && rules !== undefined) throw new Failure("--rules are a firewall's: --firewall is needed", 2);
  if (!firewall) return { allocationType: MachineAllocationType.MACHINE };
  if (rules === undefined) return { allocationType: MachineAllocationType.FIREWALL };
  const read = readDocuments(FirewallRulesSchema, await readFile(cli, rules));
  const [firewallRules, ...more] = wanted(read.ok ? read : fail(`${rules}: ${read.error}`));
  if (!firewallRules || more.length > 0) throw new Failure(`${rules}: one document is wanted, with all rules`, 2);
  return { allocationType: MachineAllocationType.FIREWALL, firewallSpec: { firewallRules } };
}

type Role = Pick<CreateRequest, "allocationType" | "firewallSpec">;

const toNetwork = ({ network, ips }: AskedNetwork) => ({ network, ips: [...ips] });

async function waitUntilInstalled(cli: Cli, api: Api, machine: Machine, timeoutMs: number): Promise<Machine> {
  const allocation = machine.allocation!;
  const createdAt = allocation.meta?.createdAt;
  const sinceMs = createdAt ? timestampMs(createdAt) : cli.clock.wallMs();
  note(cli, `machine ${machine.uuid} is ${allocation.name} now (${machine.size?.id}, ${machine.partition?.id})`);
  const { machine: final = machine } = await waitFor(cli, api, {
    observed: { uuid: machine.uuid, project: allocation.project },
    goal: "installed",
    sinceMs,
    timeoutMs,
    verdict: installed(allocation.uuid),
  });
  const ips = final.allocation?.networks.flatMap((n) => n.ips) ?? [];
  note(
    cli,
    `installed after ${durationText(cli.clock.wallMs() - sinceMs)}${ips.length ? `, at ${ips.join(", ")}` : ""}`,
  );
  return final;
}
