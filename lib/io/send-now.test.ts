import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient, type ServiceImpl, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { type FollowResponse, FollowResponseSchema, SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { silentLog } from "../log.ts";
import { sendNowKey } from "../rpc/send-now.ts";
import { listen } from "./one-port.ts";

const beat = (revision: number) =>
  create(FollowResponseSchema, { event: { case: "heartbeat", value: { revision: BigInt(revision) } } });
const revisionOf = ({ event }: FollowResponse) => (event.case === "heartbeat" ? Number(event.value.revision) : -1);
const total = 2_000;

/** What clients over these transports are told by the handler. */
async function follow(handler: ServiceImpl<typeof SyncService>["follow"], transports: (url: string) => Transport[]) {
  const port = await listen(
    { routes: (router) => router.service(SyncService, { follow: handler }), log: silentLog },
    { host: "127.0.0.1", port: 0 },
  );
  const seen: number[][] = [];
  for (const transport of transports(`http://127.0.0.1:${port.port}`)) {
    const client = createClient(SyncService, transport);
    const revisions: number[] = [];
    for await (const message of client.follow({})) revisions.push(revisionOf(message));
    seen.push(revisions);
  }
  await port.stop();
  return seen;
}

test("messages that are sent at once come in their order among those that are yielded", async () => {
  let sent = 0;
  const [grpc] = await follow(
    async function* (_, context) {
      const send = context.values.get(sendNowKey);
      assert.equal(send?.(toBinary(FollowResponseSchema, beat(1))), false, "nothing is answered yet");
      for (let i = 0; i < total; i++) {
        if (i % 10 !== 0 && send?.(toBinary(FollowResponseSchema, beat(i)))) sent++;
        else yield beat(i);
      }
    },
    (baseUrl) => [createGrpcTransport({ baseUrl, idleConnectionTimeoutMs: 50 })],
  );
  assert.deepEqual(
    grpc,
    Array.from({ length: total }, (_, i) => i),
  );
  assert.ok(sent > total / 10, `${sent}`);
});

test("where another protocol is spoken nothing can be sent at once", async () => {
  const seen = await follow(
    async function* (_, context) {
      yield beat(context.values.get(sendNowKey) === undefined ? 1 : 0);
    },
    (baseUrl) => [
      createConnectTransport({ baseUrl, httpVersion: "2", idleConnectionTimeoutMs: 50 }),
      createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
      createGrpcTransport({ baseUrl, useBinaryFormat: false, idleConnectionTimeoutMs: 50 }),
    ],
  );
  assert.deepEqual(seen, [[1], [1], [1]]);
});
