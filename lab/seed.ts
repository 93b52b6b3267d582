import { existsSync, writeFileSync } from "node:fs";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Format, GPTType } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageClassification, ImageFeature } from "#gen/metalstack/api/v2/image_pb.ts";
import { NATType, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { SizeConstraintType } from "#gen/metalstack/api/v2/size_pb.ts";
import { type Api, unlessThere } from "./api.ts";
import type { Artifacts } from "./artifacts.ts";
import { centralUrl, joinTokenFile } from "./daemons.ts";
import type { LabPlan } from "./plan.ts";
import { dataDiskGb } from "./qemu.ts";

/** What the lab made through the public API, for whoever creates machines in it. */
export interface Seeded {
  readonly tenant: string;
  readonly project: string;
  readonly partition: string;
  readonly size: string;
  readonly image: string;
  readonly network: string;
  /** Of which tenants' networks are cut. */
  readonly superNetwork: string;
}

const tenant = "lab-tenant";
const projectName = "lab-project";
const size = "lab-server";
const image = "debian-12.0.20261123";
const superNetwork = "lab-super";
const networkName = "lab-net";
const layout = "lab-layout";
const superPrefix = "10.128.0.0/16";
const imageDays = 365;
const dayMs = 86_400_000;

/** Makes all that a first machine needs. What is there already stays as it is. */
export async function seed(api: Api, plan: LabPlan, artifacts: Artifacts): Promise<Seeded> {
  await unlessThere(api.tenants.create({ name: tenant, description: "Tenant of the lab" }));
  const project = await ensureProject(api);
  await unlessThere(api.partitions.create({ partition: partitionOf(plan, artifacts) }));
  await unlessThere(api.sizes.create({ size: sizeOf(plan) }));
  await unlessThere(api.images.create({ image: imageOf(plan, artifacts) }));
  await unlessThere(api.filesystems.create({ filesystemLayout: layoutOf() }));
  const network = await ensureNetwork(api, plan, project);
  await invite(api, plan);
  return { tenant, project, partition: plan.partition, size, image, network, superNetwork };
}

async function ensureProject(api: Api): Promise<string> {
  const there = await api.projects.list({ query: { name: projectName, tenant } });
  const found = there.projects[0];
  if (found) return found.uuid;
  const made = await api.projects.create({ login: tenant, name: projectName, description: "Project of the lab" });
  if (made.project === undefined) throw new Error(`the API created project ${projectName} and did not return it`);
  return made.project.uuid;
}

export const partitionOf = (plan: LabPlan, artifacts: Artifacts) => ({
  id: plan.partition,
  description: "A virtual datacenter",
  bootConfiguration: {
    kernelUrl: artifacts.kernelUrl,
    imageUrl: artifacts.initrdUrl,
    // panic: a kernel that cannot go on resets the machine instead of waiting for somebody at its console.
    commandline: "console=ttyS0 quiet panic=10",
  },
});

export function sizeOf(plan: LabPlan) {
  const { memoryMb, diskGb } = plan.machines[0]!;
  const memory = BigInt(memoryMb) << 20n;
  const disk = BigInt(diskGb + dataDiskGb) << 30n;
  return {
    id: size,
    name: "Server of the lab",
    constraints: [
      { type: SizeConstraintType.CORES, min: 1n, max: 1n },
      // What firmware keeps for itself is missing from what the installer sees.
      { type: SizeConstraintType.MEMORY, min: memory / 2n, max: (memory * 11n) / 10n },
      { type: SizeConstraintType.STORAGE, min: (disk * 9n) / 10n, max: (disk * 11n) / 10n, identifier: "/dev/vd*" },
    ],
  };
}

export const imageOf = (plan: LabPlan, artifacts: Artifacts) => ({
  id: image,
  name: "Debian 12",
  description: `Made for ${plan.name}`,
  url: artifacts.osUrl,
  features: [ImageFeature.MACHINE],
  classification: ImageClassification.SUPPORTED,
  expiresAt: timestampFromMs(Date.now() + imageDays * dayMs),
});

/** Sizes are in MiB; 0 takes what is left. */
export const layoutOf = () => ({
  id: layout,
  name: "One disk for the system, one for data",
  disks: [
    {
      device: "/dev/vda",
      partitions: [
        { number: 1, label: "efi", size: 64n, gptType: GPTType.GPT_TYPE_BOOT },
        { number: 2, label: "root", size: 0n, gptType: GPTType.GPT_TYPE_LINUX },
      ],
    },
    { device: "/dev/vdb", partitions: [{ number: 1, label: "data", size: 0n, gptType: GPTType.GPT_TYPE_LINUX }] },
  ],
  filesystems: [
    { device: "/dev/vda1", format: Format.VFAT, path: "/boot/efi", label: "efi", createOptions: ["-F32"] },
    { device: "/dev/vda2", format: Format.EXT4, path: "/", label: "root", mountOptions: ["noatime"] },
    { device: "/dev/vdb1", format: Format.EXT4, path: "/data", label: "data", mountOptions: ["noatime", "nofail"] },
  ],
  constraints: { sizes: [size], images: { debian: ">= 12.0" } },
});

async function ensureNetwork(api: Api, plan: LabPlan, project: string): Promise<string> {
  await unlessThere(
    api.adminNetworks.create({
      id: superNetwork,
      name: "Tenant networks of the lab",
      partition: plan.partition,
      type: NetworkType.SUPER,
      natType: NATType.NAT_TYPE_NONE,
      prefixes: [superPrefix],
      defaultChildPrefixLength: { ipv4: 24 },
      minChildPrefixLength: { ipv4: 24 },
    }),
  );
  const there = await api.networks.list({ project, query: { name: networkName } });
  const found = there.networks[0];
  if (found) return found.id;
  const made = await api.networks.create({ project, name: networkName, partition: plan.partition });
  if (made.network === undefined) throw new Error(`the API created network ${networkName} and did not return it`);
  return made.network.id;
}

/** Once for each agent: one that goes on has its certificate. */
async function invite(api: Api, plan: LabPlan): Promise<void> {
  const file = joinTokenFile(plan);
  if (existsSync(file)) return;
  const { joinString } = await api.joining.createJoinToken({ partition: plan.partition, endpoint: centralUrl(plan) });
  writeFileSync(file, `${joinString}\n`, { mode: 0o600 });
}
