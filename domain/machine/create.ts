// From a create request to what can be allocated: everything that it names is looked up and checked here, for all who give machines away.
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { FilesystemLayout } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { type Image, ImageFeature } from "#gen/metalstack/api/v2/image_pb.ts";
import {
  type FirewallRules,
  MachineAllocationType,
  type MachineServiceCreateRequest,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import type { Partition } from "#gen/metalstack/api/v2/partition_pb.ts";
import type { Project } from "#gen/metalstack/api/v2/project_pb.ts";
import type { SizeImageConstraint } from "#gen/metalstack/api/v2/size_imageconstraint_pb.ts";
import type { Size } from "#gen/metalstack/api/v2/size_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { matchingLayouts } from "../filesystem/match.ts";
import { isExpired, resolveImage } from "../image/version.ts";
import { imageRefusal } from "../size/image-constraint.ts";
import { checkFirewallRules } from "./firewall-rules.ts";
import { badJoin } from "./joinable.ts";
import { checkSshKey } from "./ssh-key.ts";

/** The kinds of things that a creation names, as stored. */
export interface NamedThings {
  readonly project: Project;
  readonly partition: Partition;
  readonly size: Size;
  readonly image: Image;
  readonly filesystemLayout: FilesystemLayout;
  readonly network: Network;
}

/** What whoever gives machines away knows. Central reads through a transaction, so that nothing changes between check and commit. */
export interface CreateReads {
  /** @throws Refusal "not-found", or "precondition" for what is about to go */
  usable<K extends keyof NamedThings>(kind: K, id: string, noun: string): NamedThings[K];
  list<K extends "image" | "filesystemLayout" | "network">(kind: K): readonly NamedThings[K][];
  imageConstraint(size: string): SizeImageConstraint | undefined;
  /** Undefined: there is no such machine. */
  placeOf(uuid: string): Place | undefined;
}

export interface Resolved {
  readonly image: Image;
  readonly layout: FilesystemLayout;
  readonly role: Role;
  readonly firewallRules: FirewallRules | undefined;
  /** In the order of the request; of a firewall the fabric's underlay comes last. */
  readonly networks: readonly { readonly network: Network; readonly ips: readonly string[] }[];
}

export type Role = typeof MachineAllocationType.MACHINE | typeof MachineAllocationType.FIREWALL;

/** What the machine is wanted as; a machine unless said otherwise. */
export const roleOf = ({ allocationType }: Pick<MachineServiceCreateRequest, "allocationType">): Role =>
  allocationType === MachineAllocationType.FIREWALL ? MachineAllocationType.FIREWALL : MachineAllocationType.MACHINE;

/** Where the machine stands and what it is, asked for or given by its uuid. */
export interface Place {
  readonly partition: string;
  readonly size: string;
}

/**
 * @param nowMs Unix time
 * @throws Refusal that names the field and the value
 */
export function resolveCreate(reads: CreateReads, request: MachineServiceCreateRequest, nowMs: number): Resolved {
  checkSpec(request);
  checkSshKeys(request.sshPublicKeys);
  const role = roleOf(request);
  const firewallRules = rulesWanted(request);
  named(reads, "project", request.project, "project", "project");
  const place = placeWanted(reads, request);
  const image = imageWanted(reads, request.image, role, nowMs);
  checkImageOfSize(reads.imageConstraint(place.size), image.id);
  const layout = layoutWanted(reads, request.filesystemLayout, place.size, image);
  const networks = request.networks.map(({ network, ips }) => ({
    network: networkWanted(reads, network, request.project, place.partition),
    ips,
  }));
  const wrong = badJoin(
    role,
    networks.map((n) => n.network),
  );
  if (wrong !== undefined) throw new Refusal("invalid", wrong, { field: "networks" });
  const fabric =
    role === MachineAllocationType.FIREWALL ? [{ network: underlayOf(reads, place.partition), ips: [] }] : [];
  return { role, firewallRules, image, layout, networks: [...networks, ...fabric] };
}

function checkSpec(request: MachineServiceCreateRequest): void {
  if (request.uuid === undefined && (request.partition === undefined || request.size === undefined)) {
    throw new Refusal("invalid", "either a uuid, or a partition and a size are wanted", {
      field: request.partition === undefined ? "partition" : "size",
    });
  }
  if (request.uuid !== undefined && (request.partition !== undefined || request.size !== undefined)) {
    throw new Refusal("invalid", "with a uuid no partition and no size may be given: the machine has its own", {
      field: "uuid",
    });
  }
  const ids = request.networks.map((n) => n.network);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) throw new Refusal("invalid", `network ${twice} is named twice`, { field: "networks" });
}

/** @throws Refusal "invalid" that names the rule and its field */
function rulesWanted(request: MachineServiceCreateRequest): FirewallRules | undefined {
  const field = "firewall_spec";
  if (!request.firewallSpec) return undefined;
  if (roleOf(request) !== MachineAllocationType.FIREWALL) {
    const text = "only firewalls have a firewall_spec: leave it out, or ask for allocation_type FIREWALL";
    throw new Refusal("invalid", text, { field });
  }
  const { firewallRules } = request.firewallSpec;
  const checked = firewallRules && checkFirewallRules(firewallRules);
  if (!checked || checked.ok) return checked?.value;
  throw new Refusal("invalid", checked.error.why, { field: `${field}.firewall_rules.${checked.error.field}` });
}

/** @throws Refusal "invalid" that names the key */
export function checkSshKeys(keys: readonly string[]): void {
  for (const [i, key] of keys.entries()) {
    const checked = checkSshKey(key);
    if (!checked.ok) throw new Refusal("invalid", checked.error, { field: `ssh_public_keys[${i}]` });
  }
}

/** @throws Refusal "precondition" when the size does not take the image */
export function checkImageOfSize(...asked: Parameters<typeof imageRefusal>): void {
  const why = imageRefusal(...asked);
  if (why !== undefined) throw new Refusal("precondition", why, { reason: "IMAGE_NOT_FOR_SIZE", field: "image" });
}

function placeWanted(reads: CreateReads, { uuid, partition = "", size = "" }: MachineServiceCreateRequest): Place {
  if (uuid === undefined) {
    named(reads, "partition", partition, "partition", "partition");
    named(reads, "size", size, "size", "size");
    return { partition, size };
  }
  const place = reads.placeOf(uuid);
  if (!place) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  named(reads, "partition", place.partition, "partition", "uuid");
  return place;
}

/** @throws Refusal that names the field and the value */
export function imageWanted(reads: CreateReads, id: string, role: Role, nowMs: number): Image {
  const found = resolveImage(reads.list("image"), id, nowMs);
  const image = named(reads, "image", found?.id ?? id, "image", "image");
  const [feature, name] =
    role === MachineAllocationType.FIREWALL ? [ImageFeature.FIREWALL, "firewall"] : [ImageFeature.MACHINE, "machine"];
  if (!image.features.includes(feature)) {
    const text = `image ${image.id} is not for ${name}s: it lacks the feature ${name.toUpperCase()}`;
    throw new Refusal("precondition", text, { field: "image" });
  }
  if (image.expiresAt && isExpired(image, nowMs)) {
    const text = `image ${image.id} expired at ${timestampDate(image.expiresAt).toISOString()}: take a newer one, or give it a later expires_at`;
    throw new Refusal("precondition", text, { field: "image", reason: "IMAGE_EXPIRED" });
  }
  return image;
}

function layoutWanted(reads: CreateReads, id: string | undefined, size: string, image: Image): FilesystemLayout {
  const field = "filesystem_layout";
  if (id !== undefined) return named(reads, "filesystemLayout", id, "filesystem layout", field);
  const layouts = reads.list("filesystemLayout");
  const matching = matchingLayouts(layouts, size, image.id);
  const [only] = matching;
  if (only && matching.length === 1) return named(reads, "filesystemLayout", only.id, "filesystem layout", field);
  const what = `size ${size || "(unknown)"} with image ${image.id}`;
  const why = only
    ? `filesystem layouts ${matching.map((l) => l.id).join(", ")} all match ${what}: name one`
    : `no filesystem layout is for ${what}: name one`;
  throw new Refusal("precondition", why, { field });
}

function networkWanted(reads: CreateReads, id: string, project: string, partition: string): Network {
  const field = "networks";
  const network = named(reads, "network", id, "network", field);
  const isOpen = network.type === NetworkType.CHILD_SHARED || network.project === undefined;
  if (network.project !== project && !isOpen) {
    throw new Refusal("not-found", `network ${id} does not exist in project ${project}`, { field });
  }
  if (network.partition !== undefined && network.partition !== partition) {
    const text = `network ${id} is in partition ${network.partition}, not in ${partition}`;
    throw new Refusal("precondition", text, { field });
  }
  return network;
}

/** In which firewalls are reached by the fabric; of several the first by its id, so that there is one to enlarge. */
function underlayOf(reads: CreateReads, partition: string): Network {
  const isHere = ({ type, partition: its }: Network) => type === NetworkType.UNDERLAY && its === partition;
  const underlay = reads.list("network").find(isHere);
  if (underlay) return named(reads, "network", underlay.id, "network", "allocation_type");
  const text = `partition ${partition} has no underlay network, in which a firewall gets an address: create one`;
  throw new Refusal("precondition", text, { field: "allocation_type", reason: "NO_UNDERLAY" });
}

/** A thing that the request names: there, not about to go, and still so at the commit. */
function named<K extends keyof NamedThings>(
  reads: CreateReads,
  kind: K,
  id: string,
  noun: string,
  field: string,
): NamedThings[K] {
  try {
    return reads.usable(kind, id, noun);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { code, message, reason } = error;
    throw new Refusal(code, message, { field, ...(reason !== undefined && { reason }) });
  }
}
