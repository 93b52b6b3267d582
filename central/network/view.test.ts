import assert from "node:assert/strict";
import { test } from "node:test";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
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
