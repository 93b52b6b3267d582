import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import {
  create,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import grpc from "@grpc/grpc-js";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { services } from "./services.ts";
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

/** One call with grpc-js, the transport of most gRPC clients in this language. */
async function callWithGrpcJs<M extends DescMethodUnary>(
  method: M,
  request: MessageInitShape<M["input"]>,
  token?: string,
): Promise<MessageShape<M["output"]>> {
  const client = new grpc.Client(`127.0.0.1:${server.port}`, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<M["input"]>) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes) as MessageShape<M["output"]>,
        create(method.input, request) as MessageShape<M["input"]>,
        metadata,
        (error, response) => (error || !response ? reject(error) : resolve(response)),
      );
    });
  } finally {
    client.close();
  }
}

describe("over a socket", () => {
  test("grpc-js is served, and told the code and the text of a refusal", async () => {
    assert.equal((await callWithGrpcJs(VersionService.method.get, {})).version?.version, "0");
    const { partition } = await callWithGrpcJs(PartitionService.method.get, { id: "lab" }, central.adminToken);
    assert.equal(partition?.description, "one");
    const code = (wanted: grpc.status) => (e: unknown) => (e as grpc.ServiceError).code === wanted;
    const call = (id: string, token?: string) => callWithGrpcJs(PartitionService.method.get, { id }, token);
    await assert.rejects(call("lab"), code(grpc.status.UNAUTHENTICATED));
    await assert.rejects(call("nowhere", central.adminToken), (e) => {
      return code(grpc.status.NOT_FOUND)(e) && /nowhere/.test((e as grpc.ServiceError).details);
    });
    await assert.rejects(call("x", central.adminToken), code(grpc.status.INVALID_ARGUMENT));
  });

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

const buf = new URL("../node_modules/.bin/buf", import.meta.url).pathname;
const noBuf = existsSync(buf) ? false : "buf is not installed (npm install)";

describe("buf curl, which knows the API by reflection alone", { skip: noBuf }, () => {
  const curl = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(buf, ["curl", "--http2-prior-knowledge", ...args], {
      timeout: 60_000,
    });
    return stdout;
  };
  const authorized = () => ["-H", `Authorization: Bearer ${central.adminToken}`];

  test("lists every method of every service", async () => {
    const listed = (await curl("--protocol", "grpc", "--list-methods", url)).trim().split("\n");
    for (const service of services) {
      for (const method of service.methods)
        assert.ok(listed.includes(`${service.typeName}/${method.name}`), method.name);
    }
  });

  for (const protocol of ["grpc", "connect", "grpcweb"]) {
    test(`calls over ${protocol}`, async () => {
      const method = `${url}/metalstack.api.v2.PartitionService/Get`;
      const answer = await curl("--protocol", protocol, ...authorized(), "-d", '{"id":"lab"}', method);
      assert.equal(JSON.parse(answer).partition.description, "one");
    });
  }

  test("sees health", async () => {
    const check = await curl("--protocol", "grpc", "-d", "{}", `${url}/grpc.health.v1.Health/Check`);
    assert.equal(JSON.parse(check).status, "SERVING");
  });
});
