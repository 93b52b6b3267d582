// From a create request to what can be allocated: everything that it names is looked up and checked here.

import { matchLayout } from "#domain/filesystem/match.ts";
import { resolveImage } from "#domain/image/version.ts";
import { checkSshKey } from "#domain/machine/ssh-key.ts";
import type { FilesystemLayout } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { type Image, ImageFeature } from "#gen/metalstack/api/v2/image_pb.ts";
import { MachineAllocationType, type MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import type { Resolved } from "./allocate.ts";

/** @throws Refusal that names the field and the value */
export function resolveCreate(tx: Tx, request: MachineServiceCreateRequest): Resolved {
  checkSpec(request);
  need(tx.get(kinds.project, request.project), `project ${request.project}`, "project");
  const size = sizeWanted(tx, request);
  const image = imageWanted(tx, request.image);
  const layout = layoutWanted(tx, request, size, image);
  const networks = request.networks.map(({ network }) => networkWanted(tx, network, request));
  checkNetworks(networks);
  return { image, layout, networks };
}

function checkSpec(request: MachineServiceCreateRequest): void {
  if (request.allocationType === MachineAllocationType.FIREWALL || request.firewallSpec) {
    throw new Refusal("unimplemented", "firewalls cannot be created yet: only machines can", {
      field: "allocation_type",
    });
  }
  if (request.uuid === undefined && (request.partition === undefined || request.size === undefined)) {
    throw new Refusal("invalid", "either a uuid, or a partition and a size are wanted", { field: "partition" });
  }
  if (request.uuid !== undefined && (request.partition !== undefined || request.size !== undefined)) {
    throw new Refusal("invalid", "with a uuid no partition and no size may be given: the machine has its own", {
      field: "uuid",
    });
  }
  request.sshPublicKeys.forEach((key, i) => {
    const checked = checkSshKey(key);
    if (!checked.ok) throw new Refusal("invalid", checked.error, { field: `ssh_public_keys[${i}]` });
  });
  const ids = request.networks.map((n) => n.network);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) throw new Refusal("invalid", `network ${twice} is named twice`, { field: "networks" });
}

function sizeWanted(tx: Tx, request: MachineServiceCreateRequest): string {
  if (request.uuid !== undefined) {
    const observed = tx.list(kinds.machineObserved).find((o) => o.id === request.uuid)?.value;
    return observed?.size ?? "";
  }
  const { partition = "", size = "" } = request;
  need(tx.get(kinds.partition, partition), `partition ${partition}`, "partition");
  need(tx.get(kinds.size, size), `size ${size}`, "size");
  return size;
}

function imageWanted(tx: Tx, id: string): Image {
  const image = resolveImage(
    tx.list(kinds.image).map((i) => i.value),
    id,
  );
  if (!image) throw new Refusal("not-found", `image ${id} does not exist`, { field: "image" });
  if (!image.features.includes(ImageFeature.MACHINE)) {
    throw new Refusal("precondition", `image ${image.id} is not for machines: it lacks the feature MACHINE`, {
      field: "image",
    });
  }
  return image;
}

function layoutWanted(tx: Tx, request: MachineServiceCreateRequest, size: string, image: Image): FilesystemLayout {
  const id = request.filesystemLayout;
  if (id !== undefined) return need(tx.get(kinds.filesystemLayout, id), `filesystem layout ${id}`, "filesystem_layout");
  const layout = matchLayout(
    tx.list(kinds.filesystemLayout).map((l) => l.value),
    size,
    image.id,
  );
  if (!layout) {
    const text = `no filesystem layout is for size ${size || "(unknown)"} with image ${image.id}: name one`;
    throw new Refusal("precondition", text, { field: "filesystem_layout" });
  }
  return layout;
}

function networkWanted(tx: Tx, id: string, request: MachineServiceCreateRequest): Network {
  const network = need(tx.get(kinds.network, id), `network ${id}`, "networks");
  const isShared = network.type === NetworkType.CHILD_SHARED || network.project === undefined;
  if (network.project !== request.project && !isShared) {
    throw new Refusal("not-found", `network ${id} does not exist in project ${request.project}`, { field: "networks" });
  }
  if (request.partition !== undefined && network.partition !== undefined && network.partition !== request.partition) {
    const text = `network ${id} is in partition ${network.partition}, not in ${request.partition}`;
    throw new Refusal("precondition", text, { field: "networks" });
  }
  return network;
}

/** A machine lives in exactly one private network; the fabric's own networks are not for machines. */
function checkNetworks(networks: readonly Network[]): void {
  const homes = networks.filter((n) => n.type === NetworkType.CHILD || n.type === NetworkType.CHILD_SHARED);
  if (homes.length !== 1) {
    throw new Refusal(
      "invalid",
      `exactly one private network (CHILD or CHILD_SHARED) is wanted, ${homes.length} are named`,
      { field: "networks" },
    );
  }
  const never: readonly NetworkType[] = [NetworkType.UNDERLAY, NetworkType.SUPER, NetworkType.SUPER_NAMESPACED];
  const wrong = networks.find((n) => never.includes(n.type));
  if (wrong) {
    throw new Refusal("invalid", `network ${wrong.id} is a super or underlay network: machines cannot join it`, {
      field: "networks",
    });
  }
}

function need<T>(value: T | undefined, what: string, field: string): T {
  if (value === undefined) throw new Refusal("not-found", `${what} does not exist`, { field });
  return value;
}
