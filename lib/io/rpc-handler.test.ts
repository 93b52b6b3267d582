import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { BytesValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { silentLog } from "../log.ts";
import { listen } from "./one-port.ts";

const routes = (router: ConnectRouter): void => {
  router.service(Health, {
    check: ({ service }) => {
      if (service !== "") throw new ConnectError("it broke", Code.Internal);
      return { status: 1 };
    },
    async *watch() {
      yield { status: 1 };
    },
  });
};

test("bytes that are no message are the caller's mistake, in calls and streams of every protocol", async () => {
  const port = await listen({ routes, log: silentLog }, { host: "127.0.0.1", port: 0 });
  const baseUrl = `http://127.0.0.1:${port.port}`;
  const notText = create(BytesValueSchema, { value: Uint8Array.of(0xc3, 0x28) });
  for (const transport of [
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true }),
    createGrpcTransport({ baseUrl, idleConnectionTimeoutMs: 50 }),
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  ]) {
    const check = { ...Health.method.check, input: BytesValueSchema };
    const watch = { ...Health.method.watch, input: BytesValueSchema };
    const unary = transport.unary(check, undefined, undefined, undefined, notText);
    const mistaken = (e: unknown) =>
      e instanceof ConnectError && e.code === Code.InvalidArgument && /parse binary/.test(e.message);
    await assert.rejects(unary, mistaken);
    const stream = async () => {
      const sent = (async function* () {
        yield notText;
      })();
      const { message } = await transport.stream(watch, undefined, undefined, undefined, sent);
      await message[Symbol.asyncIterator]().next();
    };
    await assert.rejects(stream(), mistaken);
  }
  const { status } = await fetch(`${baseUrl}/grpc.health.v1.Health/Check`, {
    method: "POST",
    headers: { "content-type": "application/proto" },
    body: Uint8Array.of(0xff),
  });
  assert.equal(status, 400);
  // What else is internal stays so.
  const broken = createClient(Health, createConnectTransport({ baseUrl, httpVersion: "1.1" })).check({ service: "x" });
  await assert.rejects(
    broken,
    (e) => e instanceof ConnectError && e.code === Code.Internal && e.rawMessage === "it broke",
  );
  await port.stop();
});
