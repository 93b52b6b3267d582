import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { type TestCentral, testCentral } from "./testing/central.ts";

let central: TestCentral;
let server: Listening;
let url: string;
before(async () => {
  central = await testCentral();
  server = await listen({ ...central.api, log: silentLog }, { host: "127.0.0.1", port: 0 });
  url = `http://127.0.0.1:${server.port}`;
  await central.client(AdminPartitionService).create({ partition: { id: "lab", description: "one" } });
});
after(async () => {
  await server.stop();
  await central.close();
});

describe("over a socket", () => {
  test("Connect with JSON and gRPC give the same answer", async () => {
    const headers = { authorization: `Bearer ${central.adminToken}` };
    for (const transport of [
      createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false }),
      createGrpcTransport({ baseUrl: url, idleConnectionTimeoutMs: 50 }),
    ]) {
      const { partitions } = await createClient(PartitionService, transport).list({}, { headers });
      assert.deepEqual(
        partitions.map((p) => p.id),
        ["lab"],
      );
    }
  });

  test("plain curl is served: JSON in, JSON out, with the reason of a refusal", async () => {
    const post = async (body: string) => {
      const response = await fetch(`${url}/metalstack.api.v2.PartitionService/Get`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${central.adminToken}` },
        body,
      });
      return { status: response.status, json: (await response.json()) as Record<string, unknown> };
    };
    assert.equal((await post('{"id":"lab"}')).status, 200);
    const missing = await post('{"id":"nowhere"}');
    assert.deepEqual([missing.status, missing.json.code], [404, "not_found"]);
    assert.match(JSON.stringify(missing.json), /google\.rpc\.ErrorInfo/);
    assert.equal((await post("{")).status, 400);
  });
});
