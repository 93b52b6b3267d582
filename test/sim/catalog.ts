import type { Transport } from "@connectrpc/connect";
import { FilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { PartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { SizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { TenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { Format, GPTType } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageClassification } from "#gen/metalstack/api/v2/image_pb.ts";
import { NetworkService, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeConstraintType } from "#gen/metalstack/api/v2/size_pb.ts";
import { clientAs } from "./central-node.ts";

const url = (name: string, digit: string) => `http://images/${name}#sha256=${digit.repeat(64)}`;
export const size = "small";
export const image = "debian-13.0.1";

/** All that a first machine needs, through the public API. @returns the project and its network in each partition */
export async function makeCatalog(
  central: Transport,
  partitions: readonly string[],
): Promise<{ readonly project: string; readonly networks: readonly string[] }> {
  const as = <S extends Parameters<typeof clientAs>[0]>(service: S) => clientAs(service, central, "admin");
  const bootConfiguration = { kernelUrl: url("kernel", "1"), imageUrl: url("initrd", "2"), commandline: "quiet" };
  for (const id of partitions) await as(PartitionService).create({ partition: { id, bootConfiguration } });
  const constraints = [
    { type: SizeConstraintType.CORES, min: 1n, max: 4n },
    { type: SizeConstraintType.MEMORY, min: 1n << 29n, max: 1n << 31n },
    { type: SizeConstraintType.STORAGE, min: 1n << 31n, max: 1n << 34n, identifier: "/dev/sd*" },
  ];
  await as(SizeService).create({ size: { id: size, constraints } });
  const classification = ImageClassification.SUPPORTED;
  await as(ImageService).create({ image: { id: image, url: url("debian", "3"), classification } });
  await as(FilesystemService).create({ filesystemLayout: layout });
  for (const [i, partition] of partitions.entries()) {
    await as(AdminNetworkService).create({
      id: `super-${partition}`,
      type: NetworkType.SUPER,
      partition,
      prefixes: [`10.${128 + i}.0.0/16`],
      defaultChildPrefixLength: { ipv4: 24 },
    });
  }
  await as(TenantService).create({ name: "acme" });
  const made = await as(ProjectService).create({ login: "acme", name: "first", description: "" });
  const project = made.project?.uuid ?? "";
  const networks: string[] = [];
  for (const partition of partitions)
    networks.push((await as(NetworkService).create({ project, partition })).network?.id ?? "");
  return { project, networks };
}

const layout = {
  id: "default",
  constraints: { sizes: [size], images: { debian: ">= 13" } },
  disks: [
    {
      device: "/dev/sda",
      partitions: [
        { number: 1, size: 64n, label: "efi", gptType: GPTType.GPT_TYPE_BOOT },
        { number: 2, size: 0n, label: "root", gptType: GPTType.GPT_TYPE_LINUX },
      ],
    },
    { device: "/dev/sdb", partitions: [{ number: 1, size: 0n, label: "data", gptType: GPTType.GPT_TYPE_LINUX }] },
  ],
  filesystems: [
    { device: "/dev/sda2", format: Format.EXT4, path: "/", label: "root" },
    { device: "/dev/sda1", format: Format.VFAT, path: "/boot/efi", label: "efi" },
    { device: "/dev/sdb1", format: Format.EXT4, path: "/data", label: "data" },
  ],
};
