// One allocation is one commit: machine, addresses and ASN together, under the revisions that were read.
import { clone, create } from "@bufbuild/protobuf";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { type MachineView, placeMachine, unavailability, unfitText } from "#domain/machine/placement.ts";
import { asnTag, rackTag } from "#domain/machine/tags.ts";
import { newMeta, touched } from "#domain/meta.ts";
import { isUsable, nextFree } from "#domain/network/ipam.ts";
import {
  type Address,
  addressText,
  containsAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "#domain/network/prefix.ts";
import { type MachineDesired, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { LabelsSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import type { FilesystemLayout } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import type { Image } from "#gen/metalstack/api/v2/image_pb.ts";
import { IPSchema, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import {
  MachineAllocationSchema,
  MachineAllocationType,
  type MachineNetwork,
  MachineNetworkSchema,
  type MachineServiceCreateRequest,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/** Private ASNs that machines get (RFC 6996): 4210000001 to 4210131072. */
const asnFirst = 4_210_000_001;
const asnCount = 131_072;

export interface AllocationContext {
  readonly user: string;
  readonly nowMs: number;
  /** Made anew for every attempt that the caller makes, not for every retry of the commit. */
  readonly allocation: string;
  readonly newUuid: () => string;
  /** Where the search for a free ASN begins, and what breaks ties between machines. */
  readonly seed: number;
}

export interface Resolved {
  readonly image: Image;
  readonly layout: FilesystemLayout;
  readonly networks: readonly Network[];
}

export function allocate(
  tx: Tx,
  request: MachineServiceCreateRequest,
  resolved: Resolved,
  context: AllocationContext,
): MachineDesired {
  const machine = chooseMachine(tx, request, context);
  const { desired } = machine;
  const asn = claimAsn(tx, context);
  const networks = request.networks.map((wanted) => {
    const network = resolved.networks.find((n) => n.id === wanted.network) as Network;
    return joinNetwork(tx, network, wanted.ips, request.project, desired.uuid, asn, context);
  });
  const next = clone(MachineDesiredSchema, desired);
  next.epoch = desired.epoch + 1n;
  next.orders = [];
  next.meta = touched(desired.meta, context.nowMs);
  next.allocation = create(MachineAllocationSchema, {
    uuid: context.allocation,
    meta: newMeta(withSystemTags(request.labels?.labels ?? {}, asn, machine), context.nowMs),
    name: request.name,
    description: request.description ?? "",
    createdBy: context.user,
    project: request.project,
    image: resolved.image,
    filesystemLayout: resolved.layout,
    networks,
    hostname: request.hostname ?? request.name,
    sshPublicKeys: request.sshPublicKeys,
    userdata: request.userdata ?? "",
    allocationType: MachineAllocationType.MACHINE,
    dnsServers: request.dnsServers,
    ntpServers: request.ntpServers,
    ...(request.placementLabels && { placementLabels: request.placementLabels }),
  });
  tx.put(kinds.machineDesired, desired.uuid, next);
  return next;
}

function chooseMachine(tx: Tx, request: MachineServiceCreateRequest, context: AllocationContext): MachineView {
  if (request.uuid !== undefined) return namedMachine(tx, request.uuid);
  const machines = tx.list(kinds.machineDesired).map(({ id, value }) => viewIn(tx, id, value));
  const placement = placeMachine(
    machines,
    {
      partition: request.partition ?? "",
      size: request.size ?? "",
      project: request.project,
      role: MachineAllocationType.MACHINE,
      placementLabels: request.placementLabels?.labels ?? {},
    },
    (uuid) => shuffle(uuid, context.seed),
  );
  const best = placement.kind === "candidates" ? placement.machines[0] : undefined;
  if (best) return lock(tx, best);
  const why = placement.kind === "none" ? unfitText(placement.reasons) : "";
  throw new Refusal(
    "exhausted",
    `no machine of size ${request.size} can be had in partition ${request.partition}: of ${machines.length} machines ${why}`,
    { reason: "NO_MACHINE" },
  );
}

function namedMachine(tx: Tx, uuid: string): MachineView {
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!desired) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  const view = lock(tx, viewIn(tx, uuid, desired));
  const unfit = unavailability(view, "uuid");
  if (unfit)
    throw new Refusal("precondition", `machine ${uuid} is ${unfit}`, { field: "uuid", reason: "NOT_AVAILABLE" });
  return view;
}

const viewIn = (tx: Tx, uuid: string, desired: MachineDesired): MachineView => ({
  desired,
  observed: tx.list(kinds.machineObserved).find((o) => o.id === uuid)?.value,
});

/** Reads both sides by id, so that the commit fails when either changes. */
function lock(tx: Tx, { desired: { uuid } }: MachineView): MachineView {
  const desired = tx.get(kinds.machineDesired, uuid) as MachineDesired;
  return { desired, observed: tx.get(kinds.machineObserved, uuid) };
}

function claimAsn(tx: Tx, { seed, allocation }: AllocationContext): number {
  for (let i = 0; i < asnCount; i++) {
    const asn = asnFirst + ((seed + i) % asnCount);
    if (tx.get(kinds.claim, `asn/${asn}`) !== undefined) continue;
    tx.put(kinds.claim, `asn/${asn}`, { $typeName: "google.protobuf.StringValue", value: allocation });
    return asn;
  }
  throw new Refusal("exhausted", `all ${asnCount} ASNs are taken`, { reason: "NO_ASN" });
}

function joinNetwork(
  tx: Tx,
  network: Network,
  wanted: readonly string[],
  project: string,
  machine: string,
  asn: number,
  context: AllocationContext,
): MachineNetwork {
  const prefixes = network.prefixes.flatMap((text) => okOf(parsePrefix(text)));
  const ips =
    wanted.length > 0
      ? wanted.map((ip) => takeGiven(tx, network, ip, project, machine))
      : takeFree(tx, network, prefixes, project, machine, context);
  return create(MachineNetworkSchema, {
    network: network.id,
    prefixes: network.prefixes,
    destinationPrefixes: network.destinationPrefixes,
    ips,
    networkType: network.type,
    natType: network.natType ?? 0,
    vrf: BigInt(network.vrf ?? 0),
    asn,
    ...(network.project !== undefined && { project: network.project }),
  });
}

const ipKey = (network: Network, ip: string): string => `${network.namespace ?? ""}/${ip}`;

function takeGiven(tx: Tx, network: Network, text: string, project: string, machine: string): string {
  const [address] = okOf(parseAddress(text));
  const ip = address ? addressText(address) : text;
  const owned = tx.get(kinds.ip, ipKey(network, ip));
  if (!owned || owned.network !== network.id || owned.project !== project) {
    throw new Refusal(
      "not-found",
      `project ${project} has no address ${text} in network ${network.id}: create it first`,
      { field: "networks.ips" },
    );
  }
  const user = owned.meta?.labels?.labels[machineLabel];
  if (user !== undefined)
    throw new Refusal("precondition", `address ${text} is used by machine ${user}`, { field: "networks.ips" });
  const next = clone(IPSchema, owned);
  const labels = { ...next.meta?.labels?.labels, [machineLabel]: machine };
  next.meta = { ...newMeta(undefined, 0), ...next.meta, labels: create(LabelsSchema, { labels }) };
  tx.put(kinds.ip, ipKey(network, ip), next);
  return ip;
}

/** One free address for each address family that the network has. */
function takeFree(
  tx: Tx,
  network: Network,
  prefixes: readonly Prefix[],
  project: string,
  machine: string,
  context: AllocationContext,
): string[] {
  const families = [...new Set(prefixes.map((p) => p.family))].sort();
  return families.map((family) => {
    const ours = prefixes.filter((p) => p.family === family);
    const taken = tx
      .list(kinds.ip)
      .filter(({ value }) => (value.namespace ?? "") === (network.namespace ?? ""))
      .flatMap(({ value }) => okOf(parseAddress(value.ip)))
      .filter((a) => a.family === family && ours.some((p) => containsAddress(p, a)));
    const free = nextFree(ours, new Set(taken.map((a) => a.value)));
    if (!free || !ours.some((p) => isUsable(p, free))) {
      throw new Refusal(
        "exhausted",
        `network ${network.id} has no free IPv${family} address: ${taken.length} are taken`,
        { reason: "NO_ADDRESS" },
      );
    }
    return putEphemeral(tx, network, free, project, machine, context);
  });
}

function putEphemeral(
  tx: Tx,
  network: Network,
  address: Address,
  project: string,
  machine: string,
  context: AllocationContext,
): string {
  const ip = addressText(address);
  const key = ipKey(network, ip);
  if (tx.get(kinds.ip, key)) throw new Refusal("conflict", `address ${ip} was taken in the meantime: try again`);
  tx.put(
    kinds.ip,
    key,
    create(IPSchema, {
      uuid: context.newUuid(),
      meta: newMeta(create(LabelsSchema, { labels: { [machineLabel]: machine } }), context.nowMs),
      ip,
      network: network.id,
      project,
      type: IPType.IP_TYPE_EPHEMERAL,
      ...(network.namespace !== undefined && { namespace: network.namespace }),
    }),
  );
  return ip;
}

const withSystemTags = (labels: Readonly<Record<string, string>>, asn: number, machine: MachineView) =>
  create(LabelsSchema, {
    labels: { ...labels, [asnTag]: `${asn}`, ...(machine.observed?.rack ? { [rackTag]: machine.observed.rack } : {}) },
  });

/** A number that depends on both and on nothing else (FNV-1a). */
function shuffle(uuid: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (const c of uuid) hash = Math.imul(hash ^ c.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}

const okOf = <T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): readonly T[] =>
  result.ok ? [result.value] : [];
