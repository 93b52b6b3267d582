// How an allocation looks, whoever makes it.
import { create } from "@bufbuild/protobuf";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { LabelsSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import { type IP, IPSchema, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import {
  type MachineAllocation,
  MachineAllocationSchema,
  type MachineNetwork,
  MachineNetworkSchema,
  type MachineServiceCreateRequest,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { newMeta } from "../meta.ts";
import type { Resolved } from "./create.ts";
import { asnTag, chassisTag, rackTag, systemTags } from "./tags.ts";

/** Host name of an allocation that names none; metal-stack's clients know it. */
const hostnameDefault = "metal";

export interface Given extends Pick<Resolved, "image" | "layout" | "role" | "firewallRules"> {
  readonly uuid: string;
  readonly networks: readonly MachineNetwork[];
  readonly asn: number;
  /** What is seen of the machine, if anything. */
  readonly observed: Pick<MachineObserved, "rack" | "fru"> | undefined;
  /** Login of whoever asked. */
  readonly user: string;
  readonly nowMs: number;
}

export const newAllocation = (request: MachineServiceCreateRequest, given: Given): MachineAllocation =>
  create(MachineAllocationSchema, {
    uuid: given.uuid,
    meta: newMeta(withSystemTags(request.labels?.labels ?? {}, given), given.nowMs),
    name: request.name,
    description: request.description ?? "",
    createdBy: given.user,
    project: request.project,
    image: given.image,
    filesystemLayout: given.layout,
    networks: [...given.networks],
    hostname: request.hostname ?? hostnameDefault,
    sshPublicKeys: request.sshPublicKeys,
    userdata: request.userdata ?? "",
    allocationType: given.role,
    ...(given.firewallRules && { firewallRules: given.firewallRules }),
    dnsServers: request.dnsServers,
    ntpServers: request.ntpServers,
    ...(request.placementLabels && { placementLabels: request.placementLabels }),
  });

/** What the caller writes under our own names does not count. */
function withSystemTags(labels: Readonly<Record<string, string>>, { asn, observed }: Pick<Given, "asn" | "observed">) {
  const theirs = Object.entries(labels).filter(([key]) => !systemTags.includes(key));
  const ours = [
    [asnTag, `${asn}`],
    [rackTag, observed?.rack ?? ""],
    [chassisTag, observed?.fru?.chassisPartSerial?.trim() ?? ""],
  ].filter(([, value]) => value !== "");
  return create(LabelsSchema, { labels: Object.fromEntries([...theirs, ...ours]) });
}

export const machineNetwork = (network: Network, ips: readonly string[], asn: number): MachineNetwork =>
  create(MachineNetworkSchema, {
    network: network.id,
    prefixes: network.prefixes,
    destinationPrefixes: network.destinationPrefixes,
    ips: [...ips],
    networkType: network.type,
    natType: network.natType ?? 0,
    vrf: BigInt(network.vrf ?? 0),
    asn,
    ...(network.project !== undefined && { project: network.project }),
  });

export interface Ephemeral {
  readonly uuid: string;
  readonly ip: string;
  readonly project: string;
  /** Who has it. */
  readonly labels: Readonly<Record<string, string>>;
  readonly nowMs: number;
}

/** An address that somebody has for a time, such as a machine for as long as its allocation lasts. */
export const ephemeralIp = (network: Network, { uuid, ip, project, labels, nowMs }: Ephemeral): IP =>
  create(IPSchema, {
    uuid,
    meta: newMeta(create(LabelsSchema, { labels }), nowMs),
    ip,
    network: network.id,
    project,
    type: IPType.IP_TYPE_EPHEMERAL,
    ...(network.namespace !== undefined && { namespace: network.namespace }),
  });
