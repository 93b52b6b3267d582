// Firewalls: machines that are allocated as routers between networks.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "#gen/google/rpc/error_details_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPService, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { IPProtocol, MachineAllocationType, MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { kinds } from "../store/kinds.ts";
import { aFirewall, firewallImage, roomForFirewalls } from "../testing/firewalls.ts";
import { aWaiting, type CreateInit, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
  await roomForFirewalls(central);
});
afterEach(() => central.close());

const one = machineUuid(1);
const firewall = (more?: CreateInit) => central.create(aFirewall(central, more));
const rule = { protocol: IPProtocol.IP_PROTOCOL_TCP, ports: [443], to: ["0.0.0.0/0"], comment: "https" };

/** Fields that a refusal names. */
const fields = (e: unknown) =>
  ConnectError.from(e)
    .findDetails(BadRequestSchema)
    .flatMap((d) => d.fieldViolations.map((v) => v.field));

test("a firewall joins its networks and the fabric's underlay, under one ASN, with the rules that were given", async () => {
  await central.waiting(1);
  const ingress = [{ ...rule, to: [], from: ["2001:DB8::/32"] }];
  const { machine } = await firewall({ firewallSpec: { firewallRules: { egress: [rule], ingress } } });
  const { allocation } = machine!;
  assert.deepEqual(
    [allocation?.allocationType, allocation?.image?.id, allocation?.filesystemLayout?.id],
    [MachineAllocationType.FIREWALL, firewallImage, "firewall"],
  );
  const home = central.state.get(kinds.network, central.network)?.value;
  assert.deepEqual(
    allocation?.networks.map((n) => [n.network, n.networkType, n.ips, n.vrf]),
    [
      [central.network, NetworkType.CHILD, ["10.0.0.2"], BigInt(home?.vrf ?? 0)],
      ["internet", NetworkType.EXTERNAL, ["192.0.2.2"], 4711n],
      ["underlay", NetworkType.UNDERLAY, ["10.255.0.2"], 0n],
    ],
  );
  assert.equal(new Set(allocation?.networks.map((n) => n.asn)).size, 1);
  assert.deepEqual(
    [allocation?.firewallRules?.egress[0]?.to, allocation?.firewallRules?.ingress[0]?.from],
    [["0.0.0.0/0"], ["2001:db8::/32"]],
  );
  const query = { allocation: { allocationType: MachineAllocationType.FIREWALL } };
  const { machines } = await central.client(MachineService).list({ project: central.project, query });
  assert.deepEqual(
    machines.map((m) => m.uuid),
    [one],
  );
});

describe("a firewall is refused", () => {
  beforeEach(() => central.waiting(4));
  const spec = (more: object) => ({ firewallSpec: { firewallRules: { egress: [rule, { ...rule, ...more }] } } });
  const rows: readonly [string, CreateInit, Code, RegExp, string][] = [
    [
      "with an image for machines",
      { image: "debian-13" },
      Code.FailedPrecondition,
      /lacks the feature FIREWALL/,
      "image",
    ],
    [
      "with a rule that says nothing",
      spec({ ports: [] }),
      Code.InvalidArgument,
      /at least one port/,
      "firewall_spec.firewall_rules.egress[1].ports",
    ],
    ["without a network outside", { networks: [] }, Code.InvalidArgument, /at least one external/, "networks"],
    [
      "when it is none and has rules",
      { allocationType: MachineAllocationType.MACHINE, ...spec({}) },
      Code.InvalidArgument,
      /only firewalls have a firewall_spec/,
      "firewall_spec",
    ],
  ];
  for (const [name, more, code, text, field] of rows)
    test(name, async () => {
      const networks = more.networks && { networks: [{ network: central.network }] };
      const asked = firewall({ ...more, ...networks });
      await assert.rejects(asked, refusedWith(code, text));
      assert.deepEqual(await asked.catch(fields), [field]);
    });

  test("without an underlay in its partition, and without a free address there, and then it holds nothing", async () => {
    const held = () => [kinds.ip, kinds.claim].map((kind) => central.state.list(kind).length);
    const networks = central.client(AdminNetworkService);
    await networks.update({
      id: "underlay",
      updateMeta: { lockingStrategy: Lock.SERVER },
      prefixes: ["10.255.0.4/32"],
    });
    await firewall();
    const full = held();
    await assert.rejects(
      firewall(),
      refusedWith(Code.ResourceExhausted, /network underlay has no free IPv4 address: all 1/),
    );
    assert.deepEqual(held(), full);
    await central.state.transact((tx) => tx.delete(kinds.network, "underlay"));
    await assert.rejects(firewall(), refusedWith(Code.FailedPrecondition, /partition lab has no underlay network/));
  });

  test("with how many fell for which reason", async () => {
    await central.report({ ...aWaiting(one), size: "large" }, { ...aWaiting(machineUuid(2)), waiting: false });
    await firewall({ uuid: machineUuid(3) });
    await firewall();
    const why = /no machine of size small can be had .* of 4 machines 1 other size, 1 not waiting, 2 allocated$/;
    await assert.rejects(firewall(), refusedWith(Code.ResourceExhausted, why));
  });
});

test("the underlay's address goes back when the port was read back isolated, and cannot be kept beyond that", async () => {
  await central.waiting(1);
  await firewall();
  const ips = central.client(IPService);
  const ip = "10.255.0.2";
  const keep = {
    project: central.project,
    ip,
    type: IPType.IP_TYPE_STATIC,
    updateMeta: { lockingStrategy: Lock.SERVER },
  };
  await assert.rejects(ips.update(keep), refusedWith(Code.FailedPrecondition, /goes with its firewall/));
  await assert.rejects(ips.delete({ project: central.project, ip }), refusedWith(Code.FailedPrecondition, /in use/));
  await central.client(MachineService).delete({ uuid: one, project: central.project });
  const held = () => central.state.list(kinds.ip).map((row) => row.value.ip);
  assert.deepEqual(held(), ["10.0.0.2", ip, "192.0.2.2"]);
  const { epoch } = central.desired(one);
  await central.report({ ...aWaiting(one), epoch, isolatedEpoch: epoch });
  assert.deepEqual(held(), []);
  assert.deepEqual(
    central.state.list(kinds.claim).filter((c) => c.id.startsWith("asn/")),
    [],
  );
});

test("addresses of the underlay, such as switches have, are taken by administrators alone, and no firewall gets them", async () => {
  await central.waiting(1);
  const { project } = central;
  const wanted = { project, network: "underlay", ip: "10.255.0.2", name: "leaf1", type: IPType.IP_TYPE_STATIC };
  const byMember = central.client(IPService, central.ownerToken).create(wanted);
  await assert.rejects(byMember, refusedWith(Code.PermissionDenied, /only administrators take addresses of it/));
  const ips = central.client(IPService);
  await ips.create(wanted);
  const { ip } = await ips.create({ project, network: "underlay" });
  assert.equal(ip?.ip, "10.255.0.3");
  await firewall();
  assert.deepEqual(central.desired(one).allocation?.networks.at(-1)?.ips, ["10.255.0.4"]);
  const tied = ips.create({ project, network: "underlay", machine: one });
  await assert.rejects(tied, refusedWith(Code.InvalidArgument, /when it is created as a firewall/));
  await ips.delete({ project, ip: wanted.ip });
});

test("firewalls are spread over racks among themselves, whatever machines the project has there", async () => {
  await central.waiting(6);
  await central.report(
    ...[1, 2, 3, 4, 5, 6].map((n) => ({ ...aWaiting(machineUuid(n)), rack: n <= 3 ? "left" : "right" })),
  );
  await central.create({ uuid: machineUuid(4) });
  await central.create({ uuid: machineUuid(5) });
  await firewall({ uuid: machineUuid(1) });
  const { machine } = await firewall();
  assert.deepEqual([machine?.uuid, machine?.rack], [machineUuid(6), "right"]);
});
