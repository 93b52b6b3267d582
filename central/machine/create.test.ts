import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { clone } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { asnTag, chassisTag, rackTag } from "#domain/machine/tags.ts";
import { BadRequestSchema } from "#gen/google/rpc/error_details_pb.ts";
import { FilesystemService as AdminFilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { ImageFeature } from "#gen/metalstack/api/v2/image_pb.ts";
import { IPService, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineAllocationType, MachineService, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { kinds } from "../store/kinds.ts";
import {
  aLayout,
  aWaiting,
  type CreateInit,
  type MachineCentral,
  machineCentral,
  machineUuid,
  sshKey,
} from "../testing/machines.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
});
afterEach(() => central.close());

/** @param field of the request that the refusal must name */
const refusedWith =
  (code: Code, text = /./, field?: string) =>
  (e: unknown) => {
    assert.ok(e instanceof ConnectError, String(e));
    assert.deepEqual([Code[e.code], text.test(e.message)], [Code[code], true], e.message);
    if (field !== undefined) {
      const named = e.findDetails(BadRequestSchema).flatMap((d) => d.fieldViolations.map((v) => v.field));
      assert.deepEqual(named, [field]);
    }
    return true;
  };
const one = machineUuid(1);
const nowhere = "11111111-2222-4333-8444-555555555555";

describe("a machine is created", () => {
  test("with all that the request says, the newest image of its line, and a layout that fits", async () => {
    await central.waiting(1, { fru: { chassisPartSerial: "C-1" } });
    const { machine } = await central.create({
      description: "front",
      sshPublicKeys: [sshKey],
      userdata: "aGVsbG8=",
      labels: { labels: { tier: "web", [asnTag]: "1", [chassisTag]: "mine" } },
      dnsServers: [{ ip: "10.1.1.1" }],
    });
    const { allocation } = machine!;
    assert.equal(machine?.uuid, one);
    assert.deepEqual(
      [allocation?.image?.id, allocation?.filesystemLayout?.id, allocation?.hostname, allocation?.description],
      ["debian-13.0.2", "default", "metal", "front"],
    );
    assert.deepEqual(
      [allocation?.sshPublicKeys, allocation?.userdata, allocation?.dnsServers.map((d) => d.ip)],
      [[sshKey], "aGVsbG8=", ["10.1.1.1"]],
    );
    const labels = allocation?.meta?.labels?.labels ?? {};
    assert.equal(labels.tier, "web");
    assert.deepEqual([labels[rackTag], labels[chassisTag]], ["rack1", "C-1"]);
    assert.equal(labels[asnTag], `${allocation?.networks[0]?.asn}`, "the caller does not choose the ASN");
    assert.deepEqual([central.desired(one).epoch, allocation?.allocationType], [2n, MachineAllocationType.MACHINE]);
  });

  test("by uuid by administrators only, tainted ones included", async () => {
    await central.waiting(1);
    await central.client(AdminMachineService).setState({ uuid: one, state: MachineState.TAINTED, description: "test" });
    await assert.rejects(central.create(), refusedWith(Code.ResourceExhausted, /of 1 machines 1 not available/));
    const request = {
      project: central.project,
      name: "web",
      image: "debian-13",
      networks: [{ network: central.network }],
    };
    await assert.rejects(
      central.client(MachineService, central.ownerToken).create({ ...request, uuid: one }),
      refusedWith(Code.PermissionDenied, /administrators/, "uuid"),
    );
    const { machine } = await central.create({ uuid: one });
    assert.equal(machine?.uuid, one);
    await assert.rejects(central.create({ uuid: one }), refusedWith(Code.FailedPrecondition, /allocated/, "uuid"));
    await assert.rejects(central.create({ uuid: nowhere }), refusedWith(Code.NotFound, /does not exist/, "uuid"));
  });

  test("never in a partition where its network is not, also when it is named", async () => {
    await central.waiting(1);
    await central.client(AdminPartitionService).create({ partition: { id: "far" } });
    const next = clone(kinds.machineDesired.schema, central.desired(one));
    next.partition = "far";
    await central.state.transact((tx) => tx.put(kinds.machineDesired, one, next));
    await assert.rejects(central.create({ uuid: one }), refusedWith(Code.FailedPrecondition, /not in far/, "networks"));
  });

  test("once, when two ask for the only one at the same time", async () => {
    await central.waiting(1);
    const asked = await Promise.allSettled([central.create({ name: "first" }), central.create({ name: "second" })]);
    assert.deepEqual(asked.map((a) => a.status).sort(), ["fulfilled", "rejected"]);
    const lost = asked.find((a) => a.status === "rejected");
    assert.ok(refusedWith(Code.ResourceExhausted, /1 allocated/)(lost?.reason));
    assert.equal(central.state.list(kinds.ip).length, 1, "who got nothing holds nothing");
    assert.equal(central.state.list(kinds.claim).filter((c) => c.id.startsWith("asn/")).length, 1);
  });

  test("many at once, each with a machine, an address and an ASN of its own", async () => {
    await central.waiting(12);
    const made = await Promise.all(Array.from({ length: 12 }, () => central.create()));
    const of = (what: (n: number) => unknown) => new Set(made.map((_, i) => what(i))).size;
    assert.deepEqual(
      [
        of((i) => made[i]?.machine?.uuid),
        of((i) => made[i]?.machine?.allocation?.networks[0]?.ips[0]),
        of((i) => made[i]?.machine?.allocation?.networks[0]?.asn),
      ],
      [12, 12, 12],
    );
  });
});

describe("a creation is refused", () => {
  const rows: readonly [string, CreateInit, Code, RegExp, string][] = [
    ["project", { project: nowhere }, Code.NotFound, /project 1111/, "project"],
    ["partition", { partition: "mars" }, Code.NotFound, /partition mars/, "partition"],
    ["size", { size: "huge" }, Code.NotFound, /size huge/, "size"],
    ["image", { image: "plan9-4" }, Code.NotFound, /image plan9-4/, "image"],
    ["layout", { filesystemLayout: "odd" }, Code.NotFound, /filesystem layout odd/, "filesystem_layout"],
    ["network", { networks: [{ network: "gone" }] }, Code.NotFound, /network gone/, "networks"],
  ];
  for (const [noun, more, code, text, field] of rows) {
    test(`for a ${noun} that is not there`, () => assert.rejects(central.create(more), refusedWith(code, text, field)));
  }

  test("with the reasons counted when no machine can be had", async () => {
    await assert.rejects(central.create(), refusedWith(Code.ResourceExhausted, /of 0 machines there are none/));
    await central.waiting(4);
    await central.report(
      { ...aWaiting(machineUuid(1)), size: "large" },
      { ...aWaiting(machineUuid(2)), waiting: false },
      { ...aWaiting(machineUuid(3)), waiting: false },
      { ...aWaiting(machineUuid(4)), liveliness: 2 },
    );
    await assert.rejects(
      central.create(),
      refusedWith(Code.ResourceExhausted, /of 4 machines 1 other size, 2 not waiting, 1 not alive$/),
    );
  });

  test("for a key that is none, by its place in the list", () =>
    assert.rejects(
      central.create({ sshPublicKeys: [sshKey, sshKey.slice(0, 60)] }),
      refusedWith(Code.InvalidArgument, /cut short/, "ssh_public_keys[1]"),
    ));

  test("for what contradicts itself", async () => {
    const bad: [CreateInit, Code, RegExp][] = [
      [{ uuid: one, size: "small" }, Code.InvalidArgument, /no partition and no size/],
      [{ networks: [{ network: central.network }, { network: central.network }] }, Code.InvalidArgument, /named twice/],
      [{ networks: [{ network: "super" }] }, Code.InvalidArgument, /super/],
      [
        { networks: [{ network: central.network }, { network: await central.childNetwork(central.project) }] },
        Code.InvalidArgument,
        /2 are named/,
      ],
    ];
    for (const [more, code, text] of bad) await assert.rejects(central.create(more), refusedWith(code, text));
  });

  test("for an image that is not for machines, and a layout that is not clear", async () => {
    await central.waiting(1);
    const image = { id: "router-1.0.0", url: "http://images.example/r", features: [ImageFeature.FIREWALL] };
    await central.client(AdminImageService).create({ image });
    await assert.rejects(
      central.create({ image: "router-1.0.0" }),
      refusedWith(Code.FailedPrecondition, /MACHINE/, "image"),
    );
    await central.client(AdminImageService).create({ image: { id: "arch-1.0.0", url: "http://images.example/a" } });
    await assert.rejects(
      central.create({ image: "arch-1.0.0" }),
      refusedWith(
        Code.FailedPrecondition,
        /no filesystem layout is for size small with image arch-1\.0\.0/,
        "filesystem_layout",
      ),
    );
    const layout = aLayout("special", { arch: "*" });
    await central.client(AdminFilesystemService).create({ filesystemLayout: layout });
    assert.equal((await central.create({ image: "arch-1.0.0" })).machine?.allocation?.filesystemLayout?.id, "special");
  });

  test("for an image from the millisecond at which it expires, and its line goes on with the one before", async () => {
    await central.waiting(3);
    const expiresAtMs = central.clock.wallMs() + 1000;
    await central.client(AdminImageService).update({
      id: "debian-13.0.2",
      updateMeta: { lockingStrategy: Lock.SERVER },
      expiresAt: timestampFromMs(expiresAtMs),
    });
    central.clock.advance(999);
    assert.equal((await central.create()).machine?.allocation?.image?.id, "debian-13.0.2");
    central.clock.advance(1);
    assert.equal((await central.create()).machine?.allocation?.image?.id, "debian-13.0.1");
    await assert.rejects(
      central.create({ image: "debian-13.0.2" }),
      refusedWith(Code.FailedPrecondition, /expired at 2.*: take a newer one/, "image"),
    );
  });

  test("for a thing that is about to be deleted", async () => {
    await central.waiting(1);
    const stored = central.state.get(kinds.image, "debian-13.0.2")!.value;
    const going = clone(kinds.image.schema, stored);
    going.meta!.deletionTaskId = "image:delete";
    await central.state.transact((tx) => tx.put(kinds.image, "debian-13.0.2", going));
    await assert.rejects(central.create(), refusedWith(Code.FailedPrecondition, /being deleted/, "image"));
  });

  test("in the private network of another project, not in one that is shared", async () => {
    await central.waiting(1);
    const other = await central.newProject("second");
    const theirs = await central.childNetwork(other);
    await assert.rejects(
      central.create({ networks: [{ network: theirs }] }),
      refusedWith(Code.NotFound, /does not exist/, "networks"),
    );
    const shared = clone(kinds.network.schema, central.state.get(kinds.network, theirs)!.value);
    shared.type = NetworkType.CHILD_SHARED;
    await central.state.transact((tx) => tx.put(kinds.network, theirs, shared));
    assert.equal(
      (await central.create({ networks: [{ network: theirs }] })).machine?.allocation?.networks[0]?.network,
      theirs,
    );
  });
});

describe("addresses", () => {
  const external = (prefixes: string[]) =>
    central.client(AdminNetworkService).create({ id: "internet", type: NetworkType.EXTERNAL, prefixes, vrf: 4711 });
  const ips = () => central.client(IPService);
  const given = (...list: string[]) => [{ network: central.network }, { network: "internet", ips: list }];

  test("are one of each family, never the network's own, and are the machine's", async () => {
    await central.waiting(1);
    await external(["192.0.2.0/30", "2001:db8::/64"]);
    const { machine } = await central.create({ networks: given() });
    assert.deepEqual(
      machine?.allocation?.networks.map((n) => n.ips),
      [["10.0.0.2"], ["192.0.2.2", "2001:db8::2"]],
    );
    const { ips: mine } = await ips().list({ project: central.project, query: { machine: one } });
    assert.deepEqual(
      mine.map((ip) => [ip.ip, ip.type]),
      ["10.0.0.2", "192.0.2.2", "2001:db8::2"].map((ip) => [ip, IPType.IP_TYPE_EPHEMERAL]),
    );
  });

  test("that are used up refuse the creation, and nothing of it stays", async () => {
    await central.waiting(2);
    await external(["192.0.2.0/30"]);
    await central.create({ networks: given() });
    await assert.rejects(
      central.create({ networks: given() }),
      refusedWith(Code.ResourceExhausted, /internet has no free IPv4/),
    );
    assert.equal(central.state.list(kinds.ip).length, 2);
  });

  test("that are named must be the project's, of that network, and free", async () => {
    await central.waiting(2);
    await external(["192.0.2.0/28"]);
    await ips().create({ project: central.project, network: "internet", ip: "192.0.2.9", type: IPType.IP_TYPE_STATIC });
    const other = await central.newProject("second");
    await ips().create({ project: other, network: "internet", ip: "192.0.2.10" });
    const field = "networks.ips";
    for (const ip of ["192.0.2.8", "192.0.2.10"]) {
      await assert.rejects(
        central.create({ networks: given(ip) }),
        refusedWith(Code.NotFound, /create it first/, field),
      );
    }
    await assert.rejects(
      central.create({ networks: [{ network: central.network, ips: ["192.0.2.9"] }] }),
      refusedWith(Code.NotFound, /create it first/, field),
    );
    const { machine } = await central.create({ networks: given("192.0.2.9") });
    assert.deepEqual(machine?.allocation?.networks[1]?.ips, ["192.0.2.9"]);
    const { ip } = await ips().get({ project: central.project, ip: "192.0.2.9" });
    assert.equal(ip?.meta?.labels?.labels[machineLabel], machine?.uuid);
    await assert.rejects(
      central.create({ networks: given("192.0.2.9") }),
      refusedWith(Code.FailedPrecondition, /used by/, field),
    );
  });
});

test("in a partition that is cut off nothing is given away by central, chosen or named", async () => {
  await central.waiting(1);
  await central.cutLink();
  const cutOff = refusedWith(Code.Unavailable, /partition lab is cut off/);
  await assert.rejects(central.create(), cutOff);
  await assert.rejects(central.create({ uuid: machineUuid(1) }), cutOff);
});
