import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPAddressFamily, IPService, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import {
  NATType,
  NetworkAddressFamily,
  NetworkService,
  type NetworkServiceCreateRequest,
  NetworkType,
} from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { kinds } from "../store/kinds.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";

let central: TestCentral;
let project: string;
beforeEach(async () => {
  central = await testCentral();
  await central.client(AdminPartitionService).create({ partition: { id: "lab" } });
  await central.client(AdminTenantService).create({ name: "acme" });
  project = await newProject();
});
afterEach(() => central.close());

const newProject = async () =>
  (await central.client(ProjectService).create({ login: "acme", name: "p1", description: "" })).project?.uuid ?? "";
const admin = () => central.client(AdminNetworkService);
const user = () => central.client(NetworkService);
const ips = () => central.client(IPService);
const refusedWith =
  (code: Code, text = /./) =>
  (e: unknown) =>
    e instanceof ConnectError && e.code === code && text.test(e.message);
const server = { lockingStrategy: Lock.SERVER };

const aSuper = (more: object = {}) =>
  admin().create({
    id: "super",
    type: NetworkType.SUPER,
    partition: "lab",
    prefixes: ["10.0.0.0/16"],
    defaultChildPrefixLength: { ipv4: 22 },
    minChildPrefixLength: { ipv4: 20 },
    ...more,
  });
const aChild = async (more: Partial<NetworkServiceCreateRequest> = {}) =>
  (await user().create({ project, partition: "lab", ...(more as object) })).network!;
const anExternal = (more: object = {}) =>
  admin().create({ id: "internet", type: NetworkType.EXTERNAL, prefixes: ["192.0.2.0/28"], vrf: 4711, ...more });

describe("a child network", () => {
  test("is the next free piece of its partition's super network, with a VRF of its own", async () => {
    await aSuper();
    const [one, two] = [await aChild(), await aChild({ length: { ipv4: 24 } as never })];
    assert.deepEqual([one.prefixes, two.prefixes], [["10.0.0.0/22"], ["10.0.4.0/24"]]);
    assert.deepEqual(
      [one.parentNetwork, one.partition, one.project, one.type],
      ["super", "lab", project, NetworkType.CHILD],
    );
    assert.ok(one.vrf !== two.vrf && one.vrf! >= 1 && one.vrf! <= 131_072);
  });

  test("never overlaps another, even when many are made at once", async () => {
    await aSuper();
    const made = await Promise.all(Array.from({ length: 20 }, () => aChild()));
    assert.equal(new Set(made.map((n) => n.prefixes[0])).size, 20);
    assert.equal(new Set(made.map((n) => n.vrf)).size, 20);
  });

  test("is refused when the super network is full, too short, or not there", async () => {
    await assert.rejects(aChild(), refusedWith(Code.NotFound, /super/));
    await aSuper({ prefixes: ["10.0.0.0/21"], minChildPrefixLength: { ipv4: 22 } });
    await assert.rejects(aChild({ length: { ipv4: 21 } as never }), refusedWith(Code.InvalidArgument, /\/21/));
    await aChild();
    await aChild();
    await assert.rejects(aChild(), refusedWith(Code.ResourceExhausted, /no room/));
  });

  test("gives its prefix and its VRF back when it is deleted", async () => {
    await aSuper();
    const { id, vrf } = await aChild();
    await user().delete({ id, project });
    assert.equal(central.state.get(kinds.claim, `vrf/${vrf}`), undefined);
    assert.deepEqual((await aChild()).prefixes, ["10.0.0.0/22"]);
  });

  test("of a super network with a VRF inherits it, and leaves it there", async () => {
    await aSuper({ vrf: 7 });
    const child = await aChild();
    assert.equal(child.vrf, 7);
    await user().delete({ id: child.id, project });
    assert.equal(central.state.get(kinds.claim, "vrf/7")?.value.value, "super");
  });

  test("has a prefix for each family of its parent, or for the one that is asked for", async () => {
    await aSuper({ prefixes: ["10.0.0.0/16", "2001:db8::/48"], defaultChildPrefixLength: { ipv4: 22, ipv6: 64 } });
    assert.deepEqual((await aChild()).prefixes, ["10.0.0.0/22", "2001:db8::/64"]);
    assert.deepEqual((await aChild({ addressFamily: NetworkAddressFamily.V6 })).prefixes, ["2001:db8:0:1::/64"]);
  });

  test("of a namespaced super network begins at its start again for each project", async () => {
    const fields = { id: "ns", partition: undefined, type: NetworkType.SUPER_NAMESPACED };
    await aSuper(fields);
    const other = await newProject();
    const mine = await aChild({ partition: undefined, parentNetwork: "ns" } as never);
    const theirs = await aChild({ partition: undefined, parentNetwork: "ns", project: other } as never);
    assert.deepEqual(mine.prefixes, theirs.prefixes);
    assert.deepEqual([mine.namespace, theirs.namespace], [project, other]);
    const take = async (network: string, of: string) => (await ips().create({ network, project: of })).ip?.ip;
    assert.equal(await take(mine.id, project), await take(theirs.id, other));
  });

  test("inherits NAT and destinations, whoever makes it", async () => {
    await aSuper({ natType: NATType.NAT_TYPE_IPV4_MASQUERADE, destinationPrefixes: ["0.0.0.0/0"] });
    const made = await admin().create({ type: NetworkType.CHILD, parentNetwork: "super", project });
    for (const child of [await aChild(), made.network!]) {
      const { natType, destinationPrefixes } = child;
      assert.deepEqual([natType, destinationPrefixes], [NATType.NAT_TYPE_IPV4_MASQUERADE, ["0.0.0.0/0"]]);
    }
    const own = { type: NetworkType.CHILD, parentNetwork: "super", project, natType: NATType.NAT_TYPE_NONE };
    assert.equal((await admin().create(own)).network?.natType, NATType.NAT_TYPE_NONE);
  });

  test("cannot be larger than the super network, and the refusal for a full one says who shares it", async () => {
    await aSuper({ prefixes: ["10.0.0.0/22"], minChildPrefixLength: undefined });
    const child = (length: number) => aChild({ length: { ipv4: length } as never });
    await assert.rejects(child(21), refusedWith(Code.InvalidArgument, /10\.0\.0\.0\/22 of network super/));
    await child(23);
    await child(24);
    await child(24);
    await assert.rejects(child(30), refusedWith(Code.ResourceExhausted, /3 child networks share 10\.0\.0\.0\/22/));
  });

  test("that is shared is the only one of its project, and gives addresses to others, who find them again", async () => {
    const fields = { id: "ns", partition: undefined, type: NetworkType.SUPER_NAMESPACED };
    await aSuper(fields);
    const share = (of: string) => admin().create({ type: NetworkType.CHILD_SHARED, parentNetwork: "ns", project: of });
    const { network } = await share(project);
    await assert.rejects(share(project), refusedWith(Code.AlreadyExists, new RegExp(network!.id)));
    const other = await newProject();
    await share(other);
    const { ip } = await ips().create({ network: network!.id, project: other });
    assert.equal(ip?.namespace, project);
    assert.equal((await ips().get({ ip: ip!.ip, project: other })).ip?.uuid, ip?.uuid);
    await ips().delete({ ip: ip!.ip, project: other });
    assert.deepEqual((await ips().list({ project: other })).ips, []);
    const { networks } = await user().listBaseNetworks({ project: await newProject() });
    assert.equal(networks.filter((n) => n.type === NetworkType.CHILD_SHARED).length, 2);
  });

  test("is seen by its project alone", async () => {
    await aSuper();
    const { id } = await aChild();
    const other = await newProject();
    await assert.rejects(user().get({ id, project: other }), refusedWith(Code.NotFound));
    await assert.rejects(user().delete({ id, project: other }), refusedWith(Code.NotFound));
    assert.deepEqual((await user().list({ project: other })).networks, []);
    assert.equal((await user().list({ project })).networks.length, 1);
    assert.deepEqual(
      (await user().listBaseNetworks({ project: other })).networks.map((n) => n.id),
      ["super"],
    );
  });
});

describe("an administrator's network", () => {
  test("must have what its type wants and nothing else, and is told which field is wrong", async () => {
    const defaultChildPrefixLength = { ipv4: 24 };
    const anySuper = { id: "n1", type: NetworkType.SUPER, prefixes: ["10.0.0.0/8"], defaultChildPrefixLength };
    const anExternalOf = { id: "n1", type: NetworkType.EXTERNAL, prefixes: ["192.0.2.0/24"], vrf: 1 };
    const anUnderlay = { id: "n1", type: NetworkType.UNDERLAY, prefixes: ["10.1.0.0/24"], partition: "lab" };
    const bad: [object, RegExp][] = [
      [{ id: "n1", prefixes: ["10.0.0.0/8"] }, /type/],
      [{ id: "n1", type: NetworkType.EXTERNAL, prefixes: ["192.0.2.0/24"] }, /vrf/],
      [{ id: "n1", type: NetworkType.EXTERNAL, prefixes: ["192.0.2.1/24"], vrf: 1 }, /192\.0\.2\.0\/24/],
      [{ id: "n1", type: NetworkType.UNDERLAY, prefixes: ["10.1.0.0/24"] }, /partition/],
      [{ id: "n1", type: NetworkType.UNDERLAY, prefixes: ["fd00::/64"], partition: "lab" }, /IPv4/],
      [{ id: "n1", type: NetworkType.SUPER, prefixes: ["10.0.0.0/8"] }, /default_child_prefix_length/],
      [{ id: "n1", type: NetworkType.SUPER, prefixes: ["10.0.0.0/8"], defaultChildPrefixLength: { ipv4: 4 } }, /\/4/],
      [{ id: "n1", type: NetworkType.CHILD, partition: "lab", project }, /id/],
      [{ type: NetworkType.CHILD, partition: "lab", project, minChildPrefixLength: { ipv4: 24 } }, /min_child/],
      [{ type: NetworkType.CHILD_SHARED, partition: "lab" }, /project/],
      [{ type: NetworkType.CHILD, partition: "lab", project, vrf: 3 }, /vrf/],
      [{ ...anySuper, defaultChildPrefixLength: { ipv4: 24, ipv6: 64 } }, /IPv6/],
      [{ ...anySuper, prefixes: ["10.0.0.0/8", "fd00::/48"] }, /IPv6/],
      [{ ...anySuper, minChildPrefixLength: { ipv4: 25 } }, /shorter/],
      [{ ...anySuper, project }, /project/],
      [{ ...anySuper, type: NetworkType.SUPER_NAMESPACED, vrf: 3 }, /vrf/],
      [{ ...anySuper, type: NetworkType.SUPER_NAMESPACED, partition: "lab" }, /partition/],
      [{ ...anySuper, additionalAnnouncableCidrs: ["10.1.1.1/24"] }, /10\.1\.1\.0\/24/],
      [{ ...anySuper, prefixes: ["10.0.0.0/8", "10.1.0.0/16"] }, /overlaps/],
      [{ ...anExternalOf, defaultChildPrefixLength: { ipv4: 28 } }, /default_child/],
      [{ ...anExternalOf, additionalAnnouncableCidrs: ["10.1.1.0/24"] }, /additional/],
      [{ ...anExternalOf, vrf: 16_777_216 }, /16777215/],
      [{ ...anUnderlay, vrf: 3 }, /vrf/],
      [{ ...anUnderlay, natType: NATType.NAT_TYPE_IPV4_MASQUERADE }, /nat_type/],
      [{ ...anUnderlay, destinationPrefixes: ["0.0.0.0/0"] }, /destination_prefixes/],
    ];
    for (const [request, text] of bad)
      await assert.rejects(admin().create(request), refusedWith(Code.InvalidArgument, text));
  });

  test("overlaps no other, has an id, a VRF and a partition's super network to itself", async () => {
    await aSuper();
    await anExternal();
    await assert.rejects(aSuper(), refusedWith(Code.AlreadyExists, /super/));
    await assert.rejects(aSuper({ id: "another", prefixes: ["10.9.0.0/16"] }), refusedWith(Code.AlreadyExists, /lab/));
    const next = { id: "dmz", prefixes: ["198.51.100.0/24"] };
    await assert.rejects(
      anExternal({ ...next, vrf: 9, prefixes: ["192.0.2.8/29"] }),
      refusedWith(Code.AlreadyExists, /overlaps/),
    );
    await assert.rejects(anExternal(next), refusedWith(Code.AlreadyExists, /4711/));
    await assert.rejects(anExternal({ ...next, vrf: 8, partition: "nowhere" }), refusedWith(Code.NotFound, /nowhere/));
    await anExternal({ ...next, vrf: 8 });
  });

  test("keeps a prefix that is in use", async () => {
    await anExternal({ prefixes: ["192.0.2.0/28", "198.51.100.0/28"] });
    await ips().create({ network: "internet", project, ip: "198.51.100.2" });
    const update = (prefixes: string[]) => admin().update({ id: "internet", updateMeta: server, prefixes });
    await assert.rejects(update(["192.0.2.0/28"]), refusedWith(Code.FailedPrecondition, /198\.51\.100\.2/));
    assert.deepEqual((await update(["198.51.100.0/28"])).network?.prefixes, ["198.51.100.0/28"]);
  });

  test("loses no part of a prefix that is in use, and may lose the rest", async () => {
    await aSuper({ minChildPrefixLength: undefined });
    await aChild();
    const supers = (prefixes: string[]) => admin().update({ id: "super", updateMeta: server, prefixes });
    assert.deepEqual((await supers(["10.0.0.0/18"])).network?.prefixes, ["10.0.0.0/18"]);
    await assert.rejects(supers(["10.0.4.0/22"]), refusedWith(Code.FailedPrecondition, /10\.0\.0\.0\/22/));
    await anExternal();
    await ips().create({ network: "internet", project, ip: "192.0.2.7" });
    const externals = (prefixes: string[]) => admin().update({ id: "internet", updateMeta: server, prefixes });
    // 192.0.2.7 would be the broadcast address.
    await assert.rejects(externals(["192.0.2.0/29"]), refusedWith(Code.FailedPrecondition, /192\.0\.2\.7/));
  });

  test("lets what may be announced shrink only by force, and says every prefix in its one way", async () => {
    const { network } = await aSuper({
      prefixes: ["2001:DB8:0::/48"],
      defaultChildPrefixLength: { ipv6: 64 },
      minChildPrefixLength: undefined,
      destinationPrefixes: ["0:0::/0"],
      additionalAnnouncableCidrs: ["10.240.0.0/12", "10.0.0.0/24"],
    });
    assert.deepEqual([network?.prefixes, network?.destinationPrefixes], [["2001:db8::/48"], ["::/0"]]);
    const update = (additionalAnnouncableCidrs: string[], force = false) =>
      admin().update({ id: "super", updateMeta: server, additionalAnnouncableCidrs, force });
    await update(["10.240.0.0/12", "10.0.0.0/16"]);
    await assert.rejects(update(["10.240.0.0/12"]), refusedWith(Code.FailedPrecondition, /10\.0\.0\.0\/16/));
    const { network: shrunk } = await update(["10.240.0.0/12"], true);
    assert.deepEqual(shrunk?.additionalAnnouncableCidrs, ["10.240.0.0/12"]);
    assert.deepEqual((await update([])).network?.additionalAnnouncableCidrs, ["10.240.0.0/12"]);
    assert.deepEqual((await update([], true)).network?.additionalAnnouncableCidrs, []);
    const child = await aChild();
    const childUpdate = admin().update({
      id: child.id,
      updateMeta: server,
      additionalAnnouncableCidrs: ["10.0.0.0/8"],
    });
    await assert.rejects(childUpdate, refusedWith(Code.InvalidArgument, /additional_announcable_cidrs/));
  });

  test("that is a child's is held to the same, when it is made and when it is changed", async () => {
    await aSuper();
    const { id } = await aChild();
    const update = (change: object) => admin().update({ id, updateMeta: server, ...change });
    const bad = refusedWith(Code.InvalidArgument, /10\.0\.0\.0\/8 may be meant/);
    await assert.rejects(update({ destinationPrefixes: ["10.0.0.1/8"] }), bad);
    await assert.rejects(update({ prefixes: ["10.0.4.0/22"] }), refusedWith(Code.InvalidArgument, /cannot be changed/));
    const destinationPrefixes = ["2001:DB8:0:0::/32"];
    const { network } = await update({ destinationPrefixes });
    assert.deepEqual(network?.destinationPrefixes, ["2001:db8::/32"]);
    const child = { type: NetworkType.CHILD, parentNetwork: "super", project, destinationPrefixes };
    assert.deepEqual((await admin().create(child)).network?.destinationPrefixes, ["2001:db8::/32"]);
  });

  test("that is namespaced overlaps no other that is, since a project has one namespace", async () => {
    const namespaced = { partition: undefined, type: NetworkType.SUPER_NAMESPACED };
    await aSuper();
    await aSuper({ ...namespaced, id: "ns1" });
    await assert.rejects(aSuper({ ...namespaced, id: "ns2" }), refusedWith(Code.AlreadyExists, /ns1/));
    await aSuper({ ...namespaced, id: "ns2", prefixes: ["10.1.0.0/16"] });
  });

  test("is not deleted while somebody needs it, and can be used again after the refusal", async () => {
    await aSuper();
    const child = await aChild();
    await assert.rejects(admin().delete({ id: "super" }), refusedWith(Code.FailedPrecondition, new RegExp(child.id)));
    await aChild();
    await ips().create({ network: child.id, project });
    await assert.rejects(user().delete({ id: child.id, project }), refusedWith(Code.FailedPrecondition, /10\.0\.0\.2/));
  });
});

test("changes under a stale lock are refused, labels are patched", async () => {
  await aSuper();
  const { id, meta } = await aChild();
  const update = (updatedAt: NonNullable<typeof meta>["updatedAt"], name: string) =>
    user().update({
      id,
      project,
      name,
      updateMeta: { ...(updatedAt && { updatedAt }), lockingStrategy: Lock.CLIENT },
      labels: { strategy: { case: "patch", value: { update: { labels: { a: "b" } } } } },
    });
  const { network } = await update(meta?.updatedAt, "first");
  assert.deepEqual(
    [network?.name, network?.meta?.labels?.labels, network?.meta?.generation],
    ["first", { a: "b" }, 1n],
  );
  await assert.rejects(update(meta?.updatedAt, "second"), refusedWith(Code.Aborted));
});

describe("an address", () => {
  test("is the next free one, without network address, gateway and broadcast address, until there is none", async () => {
    await anExternal({ prefixes: ["192.0.2.0/29"] });
    const taken = await Promise.all(Array.from({ length: 5 }, () => ips().create({ network: "internet", project })));
    assert.deepEqual(
      taken.map((t) => t.ip?.ip).sort(),
      [2, 3, 4, 5, 6].map((n) => `192.0.2.${n}`),
    );
    assert.equal(taken[0]?.ip?.type, IPType.IP_TYPE_EPHEMERAL);
    const full = /all 5 of 192\.0\.2\.0\/29 are taken/;
    await assert.rejects(ips().create({ network: "internet", project }), refusedWith(Code.ResourceExhausted, full));
    const v6 = { network: "internet", project, addressFamily: IPAddressFamily.IP_ADDRESS_FAMILY_V6 };
    await assert.rejects(ips().create(v6), refusedWith(Code.InvalidArgument, /no IPv6/));
  });

  test("can be asked for by value, when it is free, in the network and nobody's own", async () => {
    await anExternal({ prefixes: ["192.0.2.0/28", "2001:db8::/64"] });
    const take = (ip: string) => ips().create({ network: "internet", project, ip });
    assert.equal((await take("2001:DB8:0::9")).ip?.ip, "2001:db8::9");
    await take("192.0.2.9");
    await assert.rejects(take("192.0.2.9"), refusedWith(Code.AlreadyExists));
    for (const own of ["192.0.2.0", "192.0.2.1", "192.0.2.15", "2001:db8::1", "192.0.2.16"]) {
      await assert.rejects(take(own), refusedWith(Code.InvalidArgument), own);
    }
    const both = { network: "internet", project, ip: "192.0.2.5", addressFamily: IPAddressFamily.IP_ADDRESS_FAMILY_V4 };
    await assert.rejects(ips().create(both), refusedWith(Code.InvalidArgument, /not both/));
    const v6 = await ips().create({
      network: "internet",
      project,
      addressFamily: IPAddressFamily.IP_ADDRESS_FAMILY_V6,
    });
    assert.equal(v6.ip?.ip, "2001:db8::2");
  });

  test("comes from no super network and no other project's network", async () => {
    await aSuper();
    const child = await aChild();
    const other = await newProject();
    await assert.rejects(ips().create({ network: "super", project }), refusedWith(Code.InvalidArgument));
    await assert.rejects(ips().create({ network: child.id, project: other }), refusedWith(Code.NotFound));
  });

  test("can become static but not ephemeral again, and is its project's alone", async () => {
    await anExternal();
    const { ip } = await ips().create({ network: "internet", project, name: "vip" });
    const update = (type: IPType) => ips().update({ ip: ip!.ip, project, updateMeta: server, type });
    assert.equal((await update(IPType.IP_TYPE_STATIC)).ip?.type, IPType.IP_TYPE_STATIC);
    await assert.rejects(update(IPType.IP_TYPE_EPHEMERAL), refusedWith(Code.FailedPrecondition));
    const other = await newProject();
    await assert.rejects(ips().get({ ip: ip!.ip, project: other }), refusedWith(Code.NotFound));
    await assert.rejects(ips().delete({ ip: ip!.ip, project: other }), refusedWith(Code.NotFound));
    await ips().delete({ ip: ip!.ip, project });
    await assert.rejects(ips().get({ ip: ip!.ip, project }), refusedWith(Code.NotFound));
  });

  test("is found by every field of a query", async () => {
    await anExternal();
    const { ip } = await ips().create({ network: "internet", project, name: "one", labels: { labels: { a: "b" } } });
    await ips().create({ network: "internet", project, name: "two", type: IPType.IP_TYPE_STATIC });
    const found = async (query: object) => (await ips().list({ project, query })).ips.map((i) => i.name);
    assert.deepEqual(await found({}), ["one", "two"]);
    assert.deepEqual(await found({ name: "two" }), ["two"]);
    assert.deepEqual(await found({ ip: ip?.ip }), ["one"]);
    assert.deepEqual(await found({ uuid: ip?.uuid }), ["one"]);
    assert.deepEqual(await found({ labels: { labels: { a: "b" } } }), ["one"]);
    assert.deepEqual(await found({ type: IPType.IP_TYPE_STATIC }), ["two"]);
    assert.deepEqual(await found({ parentPrefixCidr: "192.0.2.2/32" }), ["one"]);
    assert.deepEqual(await found({ addressFamily: IPAddressFamily.IP_ADDRESS_FAMILY_V6 }), []);
    assert.deepEqual(await found({ network: "nowhere" }), []);
  });
});
