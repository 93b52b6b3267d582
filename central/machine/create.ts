// From a create request to what can be allocated: everything that it names is looked up and checked here. What is found is read
// through the transaction, so that nothing goes away or changes between the check and the commit.
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { matchingLayouts } from "#domain/filesystem/match.ts";
import { isExpired, resolveImage } from "#domain/image/version.ts";
import { checkSshKey } from "#domain/machine/ssh-key.ts";
import type { FilesystemLayout } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { type Image, ImageFeature } from "#gen/metalstack/api/v2/image_pb.ts";
import { MachineAllocationType, type MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { usable } from "../catalog/catalog.ts";
import { checkImageOfSize } from "../size-image-constraint/service.ts";
import { type Kind, kinds, type Of } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

export interface Resolved {
  readonly image: Image;
  readonly layout: FilesystemLayout;
  /** In the order of the request. */
  readonly networks: readonly { readonly network: Network; readonly ips: readonly string[] }[];
}

/** Where the machine stands and what it is, asked for or given by its uuid. */
interface Place {
  readonly partition: string;
  readonly size: string;
}

/**
 * @param nowMs Unix time
 * @throws Refusal that names the field and the value
 */
export function resolveCreate(tx: Tx, request: MachineServiceCreateRequest, nowMs: number): Resolved {
  checkSpec(request);
  checkSshKeys(request.sshPublicKeys);
  named(tx, kinds.project, request.project, "project", "project");
  const place = placeWanted(tx, request);
  const image = imageWanted(tx, request.image, nowMs);
  checkImageOfSize(tx.get(kinds.sizeImageConstraint, place.size), image.id);
  const layout = layoutWanted(tx, request.filesystemLayout, place.size, image);
  const networks = request.networks.map(({ network, ips }) => ({
    network: networkWanted(tx, network, request.project, place.partition),
    ips,
  }));
  checkNetworks(networks.map((n) => n.network));
  return { image, layout, networks };
}

function checkSpec(request: MachineServiceCreateRequest): void {
  if (request.allocationType === MachineAllocationType.FIREWALL || request.firewallSpec) {
    throw new Refusal("unimplemented", "firewalls cannot be created yet: only machines can", {
      field: "allocation_type",
    });
  }
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

/** @throws Refusal "invalid" that names the key */
export function checkSshKeys(keys: readonly string[]): void {
  for (const [i, key] of keys.entries()) {
    const checked = checkSshKey(key);
    if (!checked.ok) throw new Refusal("invalid", checked.error, { field: `ssh_public_keys[${i}]` });
  }
}

function placeWanted(tx: Tx, { uuid, partition = "", size = "" }: MachineServiceCreateRequest): Place {
  if (uuid === undefined) {
    named(tx, kinds.partition, partition, "partition", "partition");
    named(tx, kinds.size, size, "size", "size");
    return { partition, size };
  }
  const desired = tx.get(kinds.machineDesired, uuid);
  if (!desired) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  named(tx, kinds.partition, desired.partition, "partition", "uuid");
  return { partition: desired.partition, size: tx.get(kinds.machineObserved, uuid)?.size ?? "" };
}

function imageWanted(tx: Tx, id: string, nowMs: number): Image {
  const found = resolveImage(
    tx.list(kinds.image).map((i) => i.value),
    id,
    nowMs,
  );
  const image = named(tx, kinds.image, found?.id ?? id, "image", "image");
  if (!image.features.includes(ImageFeature.MACHINE)) {
    throw new Refusal("precondition", `image ${image.id} is not for machines: it lacks the feature MACHINE`, {
      field: "image",
    });
  }
  if (image.expiresAt && isExpired(image, nowMs)) {
    const text = `image ${image.id} expired at ${timestampDate(image.expiresAt).toISOString()}: take a newer one, or give it a later expires_at`;
    throw new Refusal("precondition", text, { field: "image", reason: "IMAGE_EXPIRED" });
  }
  return image;
}

function layoutWanted(tx: Tx, id: string | undefined, size: string, image: Image): FilesystemLayout {
  const field = "filesystem_layout";
  if (id !== undefined) return named(tx, kinds.filesystemLayout, id, "filesystem layout", field);
  const layouts = tx.list(kinds.filesystemLayout).map((l) => l.value);
  const matching = matchingLayouts(layouts, size, image.id);
  const [only] = matching;
  if (only && matching.length === 1) return named(tx, kinds.filesystemLayout, only.id, "filesystem layout", field);
  const what = `size ${size || "(unknown)"} with image ${image.id}`;
  const why = only
    ? `filesystem layouts ${matching.map((l) => l.id).join(", ")} all match ${what}: name one`
    : `no filesystem layout is for ${what}: name one`;
  throw new Refusal("precondition", why, { field });
}

function networkWanted(tx: Tx, id: string, project: string, partition: string): Network {
  const field = "networks";
  const network = named(tx, kinds.network, id, "network", field);
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

const never: ReadonlySet<NetworkType> = new Set([
  NetworkType.UNDERLAY,
  NetworkType.SUPER,
  NetworkType.SUPER_NAMESPACED,
  NetworkType.UNSPECIFIED,
]);

/** A machine lives in exactly one private network; the fabric's own networks are not for machines. */
function checkNetworks(networks: readonly Network[]): void {
  const field = "networks";
  const wrong = networks.find((n) => never.has(n.type));
  if (wrong) {
    throw new Refusal("invalid", `network ${wrong.id} is a super or underlay network: machines cannot join it`, {
      field,
    });
  }
  const homes = networks.filter((n) => n.type === NetworkType.CHILD || n.type === NetworkType.CHILD_SHARED);
  if (homes.length === 1) return;
  const text = `exactly one private network (CHILD or CHILD_SHARED) is wanted, ${homes.length} are named`;
  throw new Refusal("invalid", text, { field });
}

/** A thing that the request names: there, not about to go, and still so at the commit. */
function named<K extends Kind>(tx: Tx, kind: K, id: string, noun: string, field: string): Of<K> {
  try {
    return usable(tx, kind, id, noun);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { code, message, reason } = error;
    throw new Refusal(code, message, { field, ...(reason !== undefined && { reason }) });
  }
}
