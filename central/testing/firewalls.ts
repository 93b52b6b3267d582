// What a firewall needs beside what a machine does: an image for it, the fabric's underlay, and a network outside.
import { FilesystemService as AdminFilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { ImageClassification, ImageFeature } from "#gen/metalstack/api/v2/image_pb.ts";
import { MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NATType, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { aLayout, type CentralWithMachines, type CreateInit } from "./machines.ts";

export const firewallImage = "firewall-3.0.1";

export async function roomForFirewalls(central: CentralWithMachines): Promise<void> {
  const networks = central.client(AdminNetworkService);
  await central.client(AdminImageService).create({
    image: {
      id: firewallImage,
      url: "http://images.example/firewall",
      features: [ImageFeature.FIREWALL],
      classification: ImageClassification.SUPPORTED,
    },
  });
  const filesystemLayout = aLayout("firewall", { firewall: ">= 3" });
  await central.client(AdminFilesystemService).create({ filesystemLayout });
  await networks.create({
    id: "internet",
    type: NetworkType.EXTERNAL,
    prefixes: ["192.0.2.0/24"],
    destinationPrefixes: ["0.0.0.0/0"],
    natType: NATType.NAT_TYPE_IPV4_MASQUERADE,
    vrf: 4711,
  });
  // Room for five.
  await networks.create({ id: "underlay", type: NetworkType.UNDERLAY, partition: "lab", prefixes: ["10.255.0.0/29"] });
}

/** For `central.create`: a firewall between the project's private network and the internet. */
export const aFirewall = ({ network }: CentralWithMachines, more: CreateInit = {}): CreateInit => ({
  name: "gate",
  image: firewallImage,
  allocationType: MachineAllocationType.FIREWALL,
  networks: [{ network }, { network: "internet" }],
  ...more,
});
