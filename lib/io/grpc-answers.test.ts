import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { createNodeHttpClient } from "@connectrpc/connect-node";
import {
  FollowRequestSchema,
  type FollowResponse,
  FollowResponseSchema,
  SyncService,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import { silentLog } from "../log.ts";
import { grpcAnswers } from "../rpc/grpc-answers.ts";
import { ClientSessions } from "./client-sessions.ts";
import { listen } from "./one-port.ts";

type Follow = ServiceImpl<typeof SyncService>["follow"];

const items = (...lengths: number[]): FollowResponse =>
  create(FollowResponseSchema, {
    event: { case: "snapshotItems", value: { items: lengths.map((length) => new Uint8Array(length)) } },
  });
const lengthsOf = ({ event }: FollowResponse): readonly number[] =>
  event.case === "snapshotItems" ? event.value.items.map((item) => item.length) : [];

function answersFrom(baseUrl: string, signal: AbortSignal, headers: Record<string, string> = {}) {
  const sessionManager = new ClientSessions(baseUrl);
  const http = createNodeHttpClient({ httpVersion: "2", sessionProvider: () => sessionManager });
  const request = create(FollowRequestSchema, { partition: "p1" });
  const { follow: method } = SyncService.method;
  return grpcAnswers(http, {
    baseUrl,
    method,
    headers: async () => new Headers(headers),
    request,
    messageBytesMax: 1 << 20,
    signal,
  });
}

async function served(follow: Follow, use: (url: string) => Promise<void>): Promise<void> {
  const port = await listen(
    { routes: (router) => router.service(SyncService, { follow }), log: silentLog },
    { host: "127.0.0.1", port: 0 },
  );
  try {
    await use(`http://127.0.0.1:${port.port}`);
  } finally {
    await port.stop();
  }
}

async function refusal(answers: AsyncIterable<FollowResponse>): Promise<ConnectError> {
  try {
    for await (const _ of answers);
  } catch (error) {
    assert.ok(error instanceof ConnectError, `${error}`);
    return error;
  }
  return assert.fail("it ended well");
}

const never = new AbortController().signal;

test("answers of any length come in their order, and the call's end is theirs", async () => {
  const sent = [[], [1], [100_000, 2], [0, 0], [1_000_000]];
  await served(
    async function* ({ partition }, context) {
      assert.deepEqual([partition, context.requestHeader.get("authorization")], ["p1", "Bearer t"]);
      for (const lengths of sent) yield items(...lengths);
    },
    async (url) => {
      const seen: (readonly number[])[] = [];
      for await (const answer of answersFrom(url, never, { authorization: "Bearer t" })) seen.push(lengthsOf(answer));
      assert.deepEqual(seen, sent);
    },
  );
});

test("what the server refuses is thrown as it says it, before the first answer and after it", async () => {
  for (const answers of [0, 2])
    await served(
      async function* () {
        for (let i = 0; i < answers; i++) yield items(i);
        throw new ConnectError("another one is connected", Code.FailedPrecondition, { "x-reason": "CLONE" });
      },
      async (url) => {
        const { code, rawMessage, metadata } = await refusal(answersFrom(url, never));
        assert.deepEqual(
          [code, rawMessage, metadata.get("x-reason")],
          [Code.FailedPrecondition, "another one is connected", "CLONE"],
        );
      },
    );
});

test("a longer answer than is taken is refused", async () => {
  await served(
    async function* () {
      yield items((1 << 20) + 1);
    },
    async (url) => assert.equal((await refusal(answersFrom(url, never))).code, Code.ResourceExhausted),
  );
});

test("who stops, or leaves, cancels the call at the server", async () => {
  for (const how of ["stops", "leaves"]) {
    let told: (reason: unknown) => void = () => {};
    const ended = new Promise((resolve) => {
      told = resolve;
    });
    await served(
      async function* (_, { signal }) {
        yield items(1);
        await once(signal, "abort");
        told(signal.reason);
      },
      async (url) => {
        const stop = new AbortController();
        const answers = answersFrom(url, stop.signal);
        await answers.next();
        if (how === "leaves") await answers.return(undefined);
        else {
          stop.abort(new Error("enough"));
          const { code, rawMessage } = await refusal(answers);
          assert.deepEqual([code, rawMessage], [Code.Canceled, "enough"]);
        }
        assert.equal(ConnectError.from(await ended).code, Code.Canceled, how);
      },
    );
  }
});

test("a server that is not there, one that speaks no gRPC and one that ends inside an answer are named", async () => {
  const server = http2.createServer();
  const sockets: Socket[] = [];
  server.on("connection", (socket: Socket) => sockets.push(socket));
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    if (headers["user-agent"] === "html") {
      stream.respond({ ":status": 404, "content-type": "text/html" });
      stream.end("no");
      return;
    }
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 9, 1]));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  assert.equal((await refusal(answersFrom(url, never, { "user-agent": "html" }))).code, Code.Unimplemented);
  assert.equal((await refusal(answersFrom(url, never))).rawMessage, "the stream ended inside a message");
  const closed = once(server, "close");
  server.close();
  for (const socket of sockets) socket.destroy();
  await closed;
  assert.equal((await refusal(answersFrom(url, never))).code, Code.Unavailable);
});
