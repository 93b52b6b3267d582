import assert from "node:assert/strict";
import { test } from "node:test";
import { ListService } from "#gen/holdfast/api/v1/list_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { type Network, NetworkService, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { machineCentral } from "../testing/machines.ts";

test("a network tells how much of it is in use", async () => {
  const central = await machineCentral();
  const { project, network } = central;
  await central.client(IPService).create({ network, project });
  const { networks } = await central.client(AdminNetworkService).list({});
  const [of, sup] = ["10.0.0.0/22", "10.0.0.0/16"].map(
    (p) => networks.find((n) => n.prefixes.includes(p))?.consumption?.ipv4,
  );
  assert.deepEqual([of?.usedIps, of?.availableIps], [1n, 1021n]);
  assert.deepEqual([sup?.usedPrefixes, sup?.availablePrefixes], [1n, 64n]);
  await central.close();
});

test("a namespaced super network tells a project how much of it is in use in the project's own namespace", async () => {
  const central = await machineCentral();
  const [admin, user] = [central.client(AdminNetworkService), central.client(NetworkService)];
  const base = { id: "ns", type: NetworkType.SUPER_NAMESPACED, defaultChildPrefixLength: { ipv4: 22 } };
  await admin.create({ ...base, prefixes: ["100.64.0.0/21"] });
  const { project } = central;
  const [other, none] = [await central.newProject("other"), await central.newProject("none")];
  for (const of of [project, project, other]) await user.create({ project: of, parentNetwork: "ns" });
  const usage = (network?: Network) => {
    const { usedPrefixes, availablePrefixes } = network?.consumption?.ipv4 ?? {};
    return `${usedPrefixes} of ${availablePrefixes}`;
  };
  const asked: [project: string, used: number][] = [
    [project, 2],
    [other, 1],
    [none, 0],
  ];
  for (const [of, used] of asked) {
    const { networks } = await user.listBaseNetworks({ project: of, query: { id: "ns" } });
    const { network } = await user.get({ id: "ns", project: of });
    const { things } = await central.client(ListService).list({ kind: "network", query: { project: of, ids: ["ns"] } });
    const listed = things.map(({ value }) => (value.case === "network" ? value.value : undefined));
    assert.deepEqual([...networks, network, ...listed].map(usage), Array(3).fill(`${used} of 2`));
  }
  assert.equal(usage((await admin.get({ id: "ns" })).network), "0 of 2");
  await central.close();
});
