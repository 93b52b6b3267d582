import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { FilesystemService as AdminFilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { SizeService as AdminSizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { OptimisticLockingStrategy as Lock, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { FilesystemService, Format, GPTType } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { HealthService } from "#gen/metalstack/api/v2/health_pb.ts";
import { ImageClassification as Class, ImageFeature, ImageService } from "#gen/metalstack/api/v2/image_pb.ts";
import { PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeService, SizeConstraintType as Type } from "#gen/metalstack/api/v2/size_pb.ts";
import { TenantSchema, TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { ensurePersonalTenant } from "../login/personal-tenant.ts";
import { kinds } from "../store/kinds.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";

let central: TestCentral;
beforeEach(async () => {
  central = await testCentral();
});
afterEach(() => central.close());

const refusedWith =
  (code: Code, text = /./) =>
  (e: unknown) =>
    e instanceof ConnectError && e.code === code && text.test(e.message);
const server = { lockingStrategy: Lock.SERVER };
const uuid = "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11";

test("version and health answer everybody", async () => {
  assert.equal((await central.anonymous(VersionService).get({})).version?.version, "0");
  assert.deepEqual((await central.anonymous(HealthService).get({})).health?.services, []);
});

describe("a partition", () => {
  const admin = () => central.client(AdminPartitionService);
  const get = async (id: string) => (await central.client(PartitionService).get({ id })).partition;

  test("is created once, changed field by field, and gone when deleted", async () => {
    const partition = {
      id: "lab",
      description: "one",
      dnsServers: [{ ip: "10.0.0.1" }],
      meta: { labels: { labels: { a: "b" } } },
    };
    await admin().create({ partition });
    await assert.rejects(admin().create({ partition }), refusedWith(Code.AlreadyExists, /lab/));
    await admin().update({ id: "lab", updateMeta: server, description: "two" });
    const stored = await get("lab");
    assert.deepEqual(
      [stored?.description, stored?.dnsServers[0]?.ip, stored?.meta?.labels?.labels, stored?.meta?.generation],
      ["two", "10.0.0.1", { a: "b" }, 1n],
    );
    const { partitions } = await central.client(PartitionService).list({ query: { labels: { labels: { a: "c" } } } });
    assert.deepEqual(partitions, []);
    await admin().delete({ id: "lab" });
    await assert.rejects(get("lab"), refusedWith(Code.NotFound));
    await assert.rejects(admin().delete({ id: "lab" }), refusedWith(Code.NotFound));
  });

  test("is kept while a machine is in it, and is as it was after the refusal", async () => {
    await admin().create({ partition: { id: "lab" } });
    const machine = create(MachineObservedSchema, { uuid, partition: "lab" });
    await central.state.transact((tx) => tx.put(kinds.machineObserved, uuid, machine));
    await assert.rejects(admin().delete({ id: "lab" }), refusedWith(Code.FailedPrecondition, new RegExp(uuid)));
    assert.equal((await get("lab"))?.meta?.deletionTaskId, undefined);
  });
});

describe("a size", () => {
  const admin = () => central.client(AdminSizeService);
  const cores = (min: number, max: number) => ({ type: Type.CORES, min: BigInt(min), max: BigInt(max) });
  const memory = (min: number, max: number) => ({ type: Type.MEMORY, min: BigInt(min), max: BigInt(max) });

  test("overlaps no other", async () => {
    await admin().create({ size: { id: "s1", constraints: [cores(1, 4), memory(1, 10)] } });
    const clash = { size: { id: "s2", constraints: [cores(4, 8), memory(10, 20)] } };
    await assert.rejects(admin().create(clash), refusedWith(Code.AlreadyExists, /s1/));
    await admin().create({ size: { id: "s2", constraints: [cores(4, 8), memory(11, 20)] } });
    await admin().create({
      size: { id: "s3", constraints: [cores(1, 4), memory(1, 10), { ...cores(1, 2), type: Type.GPU }] },
    });
    const update = admin().update({ id: "s2", updateMeta: server, constraints: [cores(1, 1), memory(1, 1)] });
    await assert.rejects(update, refusedWith(Code.AlreadyExists));
    assert.deepEqual(
      (await central.client(SizeService).list({})).sizes.map((s) => s.id),
      ["s1", "s2", "s3"],
    );
  });

  test("can be matched by some machine", async () => {
    for (const constraints of [[], [cores(4, 1)], [cores(1, 2), cores(3, 4)], [{ min: 1n, max: 2n }]]) {
      await assert.rejects(admin().create({ size: { id: "s1", constraints } }), refusedWith(Code.InvalidArgument));
    }
  });
});

describe("an image", () => {
  const admin = () => central.client(AdminImageService);
  const add = (id: string, more: object = {}) =>
    admin().create({ image: { id, url: "http://images.example/a", ...more } });

  test("gets what its creator leaves out", async () => {
    const { image } = await add("debian-13.0.1");
    assert.deepEqual([image?.classification, image?.features], [Class.PREVIEW, [ImageFeature.MACHINE]]);
    assert.ok(image?.expiresAt);
  });

  test("is named by operating system and version", async () => {
    await assert.rejects(add("debian"), refusedWith(Code.InvalidArgument, /os-major\.minor\.patch/));
    await assert.rejects(admin().create({ image: { id: "debian-13" } }), refusedWith(Code.InvalidArgument));
  });

  test("is found by its short form once it is supported", async () => {
    await add("debian-13.0.1", { classification: Class.SUPPORTED });
    await add("debian-13.0.2");
    const images = central.client(ImageService);
    assert.equal((await images.get({ id: "debian-13" })).image?.id, "debian-13.0.1");
    await admin().update({ id: "debian-13.0.2", updateMeta: server, classification: Class.SUPPORTED });
    assert.equal((await images.get({ id: "debian-13" })).image?.id, "debian-13.0.2");
    assert.equal((await images.latest({ os: "debian" })).image?.id, "debian-13.0.2");
    await assert.rejects(images.get({ id: "debian-14" }), refusedWith(Code.NotFound, /debian-14/));
  });

  test("is kept while a machine runs it, and says which", async () => {
    const { image } = await add("debian-13.0.1");
    const machine = create(MachineDesiredSchema, { uuid, allocation: { image: image! } });
    await central.state.transact((tx) => tx.put(kinds.machineDesired, uuid, machine));
    await assert.rejects(
      admin().delete({ id: "debian-13.0.1" }),
      refusedWith(Code.FailedPrecondition, new RegExp(uuid)),
    );
    const { imageUsage } = await admin().usage({});
    assert.deepEqual(
      imageUsage.map((u) => [u.image?.id, u.usedBy]),
      [["debian-13.0.1", [uuid]]],
    );
  });
});

describe("a filesystem layout", () => {
  const admin = () => central.client(AdminFilesystemService);
  const disk = {
    device: "/dev/sda",
    partitions: [
      { number: 1, size: 500n, gptType: GPTType.GPT_TYPE_BOOT },
      { number: 2, size: 0n, gptType: GPTType.GPT_TYPE_LINUX },
    ],
  };
  const filesystems = [
    { device: "/dev/sda1", format: Format.VFAT, path: "/boot/efi", label: "efi" },
    { device: "/dev/sda2", format: Format.EXT4, path: "/", label: "root" },
    { device: "tmpfs", format: Format.TMPFS, path: "/tmp" },
  ];
  const layout = (id: string, more: object = {}) => ({ filesystemLayout: { id, disks: [disk], filesystems, ...more } });
  const constraints = (images: Record<string, string>) => ({ constraints: { sizes: ["s1"], images } });

  beforeEach(async () => {
    const size = { id: "s1", constraints: [{ type: Type.CORES, min: 1n, max: 1n }] };
    await central.client(AdminSizeService).create({ size });
    const image = { id: "debian-13.0.1", url: "http://images.example/a", classification: Class.SUPPORTED };
    await central.client(AdminImageService).create({ image });
  });

  test("that cannot be carried out is refused with what is wrong", async () => {
    const bad: [object, RegExp][] = [
      [{ filesystems: filesystems.slice(0, 1) }, /path \//],
      [{ disks: [disk, disk] }, /\/dev\/sda is there twice/],
      [{ disks: [{ ...disk, partitions: [...disk.partitions].reverse() }] }, /only the last/],
      [{ disks: [{ ...disk, device: "sda" }] }, /sda/],
      [{ filesystems: [...filesystems, { device: "/dev/sdb1", format: Format.EXT4, path: "/data" }] }, /\/dev\/sdb1/],
      [
        { filesystems: [...filesystems, { device: "/dev/sda2", format: Format.EXT4, path: "/data" }] },
        /in use already/,
      ],
      [{ raid: [{ arrayName: "/dev/md0", level: 2, devices: ["/dev/sda2", "/dev/sdb2"] }] }, /\/dev\/sdb2/],
      [{ volumeGroups: [{ name: "vg", devices: ["/dev/sdz1"] }] }, /\/dev\/sdz1/],
      [{ logicalVolumes: [{ name: "lv", volumeGroup: "vg" }] }, /no volume group vg/],
      [constraints({ debian: "newest" }), /debian/],
    ];
    for (const [more, text] of bad) {
      await assert.rejects(admin().create(layout("l1", more)), refusedWith(Code.InvalidArgument, text));
    }
    const unknownSize = { constraints: { sizes: ["s9"], images: {} } };
    await assert.rejects(admin().create(layout("l1", unknownSize)), refusedWith(Code.NotFound, /s9/));
  });

  test("over raid and volumes is taken when every device is there once", async () => {
    const part = (number: number) => ({ number, size: 0n, gptType: GPTType.GPT_TYPE_LINUX_RAID });
    const disks = ["/dev/nvme0n1", "/dev/nvme1n1"].map((device) => ({ device, partitions: [part(1)] }));
    await admin().create(
      layout("l1", {
        disks,
        raid: [{ arrayName: "/dev/md0", level: 2, devices: ["/dev/nvme0n1p1", "/dev/nvme1n1p1"] }],
        volumeGroups: [{ name: "vg", devices: ["/dev/md0"] }],
        logicalVolumes: [{ name: "root", volumeGroup: "vg", lvmType: 1 }],
        filesystems: [{ device: "/dev/vg/root", format: Format.EXT4, path: "/" }],
      }),
    );
    assert.equal((await central.client(FilesystemService).list({})).filesystemLayouts.length, 1);
  });

  test("is found by size and image, and collides with no other for the same", async () => {
    await admin().create(layout("old", constraints({ debian: "< 13" })));
    await admin().create(layout("l1", constraints({ debian: ">= 13" })));
    await admin().create(layout("development"));
    const match = { case: "sizeAndImage" as const, value: { size: "s1", image: "debian-13" } };
    assert.equal((await admin().match({ match })).filesystemLayout?.id, "l1");
    const clash = admin().create(layout("l2", constraints({ debian: "~ 13.1" })));
    await assert.rejects(clash, refusedWith(Code.AlreadyExists, /l1/));
    await assert.rejects(
      central.client(AdminSizeService).delete({ id: "s1" }),
      refusedWith(Code.FailedPrecondition, /l1/),
    );
  });

  test("is checked against a machine's disks", async () => {
    await admin().create(layout("l1"));
    const put = (size: bigint) =>
      central.state.transact((tx) => {
        const hardware = { disks: [{ name: "/dev/sda", size }] };
        tx.put(kinds.machineObserved, uuid, create(MachineObservedSchema, { uuid, hardware }));
      });
    const value = { machine: uuid, filesystemLayout: "l1" };
    const fits = () => admin().match({ match: { case: "machineAndFilesystemlayout", value } });
    await put(400n << 20n);
    await assert.rejects(fits(), refusedWith(Code.FailedPrecondition, /sda/));
    await put(600n << 20n);
    assert.equal((await fits()).filesystemLayout?.id, "l1");
  });
});

describe("tenants and projects", () => {
  const ann = async () => await central.tokenFor("ann");

  test("who creates one owns it, and others do not see it", async () => {
    const mine = central.client(TenantService, await ann());
    const { tenant } = await mine.create({ name: "acme" });
    const login = tenant!.login;
    const projects = central.client(ProjectService, await ann());
    const { project } = await projects.create({ login, name: "p1", description: "d" });
    const { projectMembers } = await projects.get({ project: project!.uuid });
    assert.deepEqual(
      projectMembers.map((m) => [m.id, m.role]),
      [["ann", ProjectRole.OWNER]],
    );
    assert.equal((await projects.list({})).projects.length, 1);
    const bob = await central.tokenFor("bob");
    assert.deepEqual((await central.client(ProjectService, bob).list({})).projects, []);
    assert.deepEqual((await central.client(TenantService, bob).list({})).tenants, []);
    await assert.rejects(central.client(TenantService, bob).get({ login }), refusedWith(Code.PermissionDenied));
    const intrusion = central.client(ProjectService, bob).create({ login, name: "p2", description: "" });
    await assert.rejects(intrusion, refusedWith(Code.PermissionDenied));
  });

  test("a tenant's member is a member of its projects, a guest is not", async () => {
    const admin = central.client(AdminTenantService);
    await admin.create({ name: "acme" });
    const { project } = await central.client(ProjectService).create({ login: "acme", name: "p1", description: "" });
    await admin.addMember({ tenant: "acme", member: "ann", role: TenantRole.VIEWER });
    await admin.addMember({ tenant: "acme", member: "guest", role: TenantRole.GUEST });
    const get = async (who: string) =>
      central.client(ProjectService, await central.tokenFor(who)).get({ project: project!.uuid });
    const { projectMembers } = await get("ann");
    assert.deepEqual(
      projectMembers.map((m) => [m.id, m.role, m.inheritedMembership]),
      [
        ["admin", ProjectRole.OWNER, false],
        ["ann", ProjectRole.VIEWER, true],
      ],
    );
    await assert.rejects(get("guest"), refusedWith(Code.PermissionDenied));
  });

  test("the last owner stays", async () => {
    const admin = central.client(AdminTenantService);
    await admin.create({ name: "acme" });
    await assert.rejects(admin.removeMember({ tenant: "acme", member: "admin" }), refusedWith(Code.FailedPrecondition));
    const demoted = central
      .client(TenantService)
      .updateMember({ login: "acme", member: "admin", role: TenantRole.VIEWER });
    await assert.rejects(demoted, refusedWith(Code.FailedPrecondition, /last owner/));
    await admin.addMember({ tenant: "acme", member: "ann", role: TenantRole.OWNER });
    await assert.rejects(
      admin.addMember({ tenant: "acme", member: "ann", role: TenantRole.OWNER }),
      refusedWith(Code.AlreadyExists),
    );
    await admin.removeMember({ tenant: "acme", member: "admin" });
  });

  test("an editor makes nobody an owner, and nobody makes a member of an agent", async () => {
    const admin = central.client(AdminTenantService);
    await admin.create({ name: "acme" });
    await admin.addMember({ tenant: "acme", member: "ed", role: TenantRole.EDITOR });
    const ed = central.client(TenantService, await central.tokenFor("ed"));
    const add = (role: TenantRole, member = "bob") => ed.addMember({ login: "acme", member, role });
    await assert.rejects(
      add(TenantRole.OWNER),
      refusedWith(Code.PermissionDenied, /bob cannot be given more in tenant acme/),
    );
    await add(TenantRole.EDITOR);
    const agent = add(TenantRole.VIEWER, "partition-agent:lab");
    await assert.rejects(agent, refusedWith(Code.InvalidArgument, /no person/));
  });

  test("a member of a project by its tenant is changed at the tenant", async () => {
    const admin = central.client(AdminTenantService);
    await admin.create({ name: "acme" });
    for (const [member, role] of [
      ["ed", TenantRole.EDITOR],
      ["gus", TenantRole.GUEST],
    ] as const)
      await admin.addMember({ tenant: "acme", member, role });
    const projects = central.client(ProjectService);
    const { project } = await projects.create({ login: "acme", name: "first", description: "" });
    const of = { project: project!.uuid };
    const inherited = refusedWith(Code.FailedPrecondition, /ed is a member of project .+ by tenant acme/);
    await assert.rejects(projects.removeMember({ ...of, member: "ed" }), inherited);
    await assert.rejects(projects.updateMember({ ...of, member: "ed", role: ProjectRole.VIEWER }), inherited);
    await assert.rejects(projects.removeMember({ ...of, member: "gus" }), refusedWith(Code.NotFound));
    await projects.addMember({ ...of, member: "ed", role: ProjectRole.OWNER });
    await projects.removeMember({ ...of, member: "ed" });
  });

  test("whose own a tenant is stays its owner, also beside another one", async () => {
    await ensurePersonalTenant(central, { login: "ann", name: "Ann", email: "", avatarUrl: "" });
    const admin = central.client(AdminTenantService);
    await admin.addMember({ tenant: "ann", member: "bob", role: TenantRole.OWNER });
    const fixed = refusedWith(Code.FailedPrecondition, /own one of user ann/);
    await assert.rejects(admin.removeMember({ tenant: "ann", member: "ann" }), fixed);
    const bob = central.client(TenantService, await central.tokenFor("bob"));
    await assert.rejects(bob.updateMember({ login: "ann", member: "ann", role: TenantRole.VIEWER }), fixed);
    await admin.removeMember({ tenant: "ann", member: "bob" });
  });

  test("a user's own tenant stays", async () => {
    await central.state.transact((tx) => {
      tx.put(kinds.tenant, "ann", create(TenantSchema, { login: "ann", name: "ann", createdBy: "ann" }));
    });
    await assert.rejects(
      central.client(TenantService).delete({ login: "ann" }),
      refusedWith(Code.FailedPrecondition, /own one of user ann/),
    );
  });

  test("a tenant goes when its projects are gone, and a login may look like anything", async () => {
    const admin = central.client(AdminTenantService);
    await admin.create({ name: "a/b %2F" });
    const tenants = central.client(TenantService);
    const projects = central.client(ProjectService);
    const { project } = await projects.create({ login: "a/b %2F", name: "p1", description: "" });
    await assert.rejects(tenants.delete({ login: "a/b %2F" }), refusedWith(Code.FailedPrecondition, /project/));
    await projects.delete({ project: project!.uuid });
    assert.equal((await tenants.get({ login: "a/b %2F" })).tenantMembers.length, 1);
    await tenants.delete({ login: "a/b %2F" });
    assert.deepEqual(central.state.list(kinds.projectMember), []);
    assert.equal(central.state.list(kinds.tenantMember).length, 1);
    await assert.rejects(tenants.delete({ login: "provider" }), refusedWith(Code.FailedPrecondition));
    await assert.rejects(admin.create({ name: "partition-agent:lab" }), refusedWith(Code.InvalidArgument, /reserved/));
  });

  test("administrators page through tenants", async () => {
    const admin = central.client(AdminTenantService);
    for (const name of ["t1", "t2"]) await admin.create({ name });
    const first = await admin.list({ query: { paging: { page: 0n, count: 2n } } });
    assert.deepEqual([first.tenants.map((t) => t.login), first.nextPage], [["provider", "t1"], 1n]);
    const second = await admin.list({ query: { paging: { page: 1n, count: 2n } } });
    assert.deepEqual([second.tenants.map((t) => t.login), second.nextPage], [["t2"], undefined]);
  });
});
