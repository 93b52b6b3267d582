import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { type QuotaLimits, QuotaService, type QuotaUse } from "#gen/holdfast/api/v1/quota_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { kinds } from "../store/kinds.ts";
import { aFirewall, roomForFirewalls } from "../testing/firewalls.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
  await central.waiting(4);
});
afterEach(() => central.close());

const set = (limits: object, project = central.project) => central.client(QuotaService).set({ project, limits });
const get = async (token?: string) => {
  const { quota, used } = await central.client(QuotaService, token).get({ project: central.project });
  const of = (amounts: QuotaLimits | QuotaUse | undefined) => [amounts?.machines, amounts?.ips, amounts?.networks];
  return { limits: of(quota?.limits), used: of(used) };
};
const address = (project = central.project) => central.client(IPService).create({ project, network: central.network });
const full = (text: RegExp) => refusedWith(Code.ResourceExhausted, text);
const stored = () => [...central.state.list(kinds.quota), ...central.state.list(kinds.claim)].map((row) => row.id);

describe("a quota", () => {
  test("is set by administrators and shown to members, with what is used", async () => {
    assert.deepEqual(await get(central.ownerToken), { limits: [undefined, undefined, undefined], used: [0, 0, 1] });
    await set({ machines: 2, networks: 0 });
    await central.create();
    await address();
    assert.deepEqual(await get(central.ownerToken), { limits: [2, undefined, 0], used: [1, 2, 1] });
    const owners = central.client(QuotaService, central.ownerToken);
    await assert.rejects(owners.set({ project: central.project }), refusedWith(Code.PermissionDenied, /./));
    const nobody = "11111111-2222-4333-8444-555555555555";
    await assert.rejects(set({}, nobody), refusedWith(Code.NotFound, /project 1111/));
    await assert.rejects(
      central.client(QuotaService).get({ project: nobody }),
      refusedWith(Code.NotFound, /project 1111/),
    );
  });

  test("stops what would be too much of anything, with the figures, and then nothing is held", async () => {
    await set({ machines: 1, ips: 2, networks: 1 });
    await central.create();
    const held = () => [kinds.ip, kinds.claim, kinds.network].map((kind) => central.state.list(kind).length);
    const before = held();
    await assert.rejects(central.create(), full(/1 machines of the 1 that its quota allows, and wants 1 more/));
    await assert.rejects(central.childNetwork(central.project), full(/1 networks of the 1/));
    assert.deepEqual(held(), before);
    await address();
    await assert.rejects(address(), full(/2 addresses of the 2 that its quota allows, and wants 1 more/));
    await set({ machines: 2, ips: 2 });
    await assert.rejects(central.create(), full(/2 addresses of the 2/));
    assert.equal((await central.client(MachineService).list({ project: central.project })).machines.length, 1);
  });

  test("counts all that a firewall takes, and networks that administrators make for a project", async () => {
    await roomForFirewalls(central);
    await set({ ips: 2, networks: 1 });
    await assert.rejects(central.create(aFirewall(central)), full(/0 addresses of the 2 that .* wants 3 more/));
    const network = { type: NetworkType.CHILD, project: central.project, partition: "lab" };
    await assert.rejects(central.client(AdminNetworkService).create(network), full(/networks/));
  });

  test("has room again for a machine that is released, and for its addresses when they are given back", async () => {
    await set({ machines: 1, ips: 1 });
    const { machine } = await central.create();
    const uuid = machine?.uuid ?? "";
    await central.client(MachineService).delete({ uuid, project: central.project });
    await assert.rejects(central.create(), full(/1 addresses of the 1/));
    const { epoch } = central.desired(uuid);
    await central.report({ ...aWaiting(uuid), epoch, isolatedEpoch: epoch, wipedEpoch: epoch });
    await central.create();
  });

  test("that is below what there is takes nothing away, and what adds nothing goes on", async () => {
    const { ip } = await address();
    await address();
    await set({ ips: 1 });
    assert.deepEqual((await get()).used, [0, 2, 1]);
    const networks = [{ network: central.network, ips: [ip?.ip ?? ""] }];
    await central.create({ networks });
    await assert.rejects(address(), full(/2 addresses of the 1/));
  });

  test("is one project's alone, and of others nobody takes turns", async () => {
    await set({ ips: 0 });
    const other = await central.newProject("second");
    const network = await central.childNetwork(other);
    await central.client(IPService).create({ project: other, network });
    assert.ok(!stored().some((id) => id.includes(other)));
    await assert.rejects(address(), full(/0 addresses of the 0/));
  });

  test("without limits is none, and goes with its project", async () => {
    await set({ machines: 1 });
    await central.create({ uuid: machineUuid(1) });
    await set({});
    assert.deepEqual(central.state.list(kinds.quota), []);
    await central.create();
    const project = await central.newProject("short");
    await set({ ips: 1 }, project);
    const network = await central.childNetwork(project);
    await central.client(IPService).create({ project, network });
    const [ip] = (await central.client(IPService).list({ project })).ips;
    await central.client(IPService).delete({ project, ip: ip?.ip ?? "" });
    const networks = await central.client(AdminNetworkService).list({ query: { project } });
    for (const { id } of networks.networks) await central.client(AdminNetworkService).delete({ id });
    await central.client(ProjectService).delete({ project });
    assert.ok(!stored().some((id) => id.includes(project)), stored().join());
  });
});
