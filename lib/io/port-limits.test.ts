import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import { Code, ConnectError, type ConnectRouter, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { silentLog } from "../log.ts";
import { certificate, keyIdOf, serialBytes, serialOf } from "../x509/certificate.ts";
import { certificatePem, pem } from "../x509/pem.ts";
import { ecdsaKeys } from "./ecdsa-keys.ts";
import { type Listening, listen, type OnePort } from "./one-port.ts";
import type { PortLimits } from "./port-limits.ts";
import { frameTypes, grpcMessage, RawHttp2 } from "./testing/raw-http2.ts";

const serving = 1;
const paths = {
  check: "/grpc.health.v1.Health/Check",
  watch: "/grpc.health.v1.Health/Watch",
  reflection: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
};
const routes = (router: ConnectRouter): void => {
  router.service(Health, {
    check: () => ({ status: serving }),
    async *watch(_request, context) {
      yield { status: serving };
      await aborted(context.signal);
    },
  });
  router.service(ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const _ of requests) yield {};
    },
  });
};
const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

const local = { host: "127.0.0.1", port: 0 };
const listening = (limits: Partial<PortLimits>, more: Partial<OnePort> = {}): Promise<Listening> =>
  listen({ routes, log: silentLog, limits, ...more }, local);
const isCode = (code: Code) => (error: unknown) => error instanceof ConnectError && error.code === code;

function material() {
  const { privateKey, publicKey } = ecdsaKeys.newPair();
  const keyId = keyIdOf(ecdsaKeys.sha256(publicKey));
  const use = { kind: "server", names: ["127.0.0.1"] } as const;
  const serial = serialOf(new Uint8Array(serialBytes).fill(1));
  const init = { subject: "server", issuer: { name: "server", keyId }, publicKey, keyId, fromMs: 0, use, serial };
  const made = certificate(init, (told) => ecdsaKeys.sign(privateKey, told));
  return { key: pem("PRIVATE KEY", privateKey), certificate: certificatePem(made) };
}

/** HTTP/1 over plain text and over TLS: what is sent, and all that comes until the server closes. */
async function* overHttp1(limits: Partial<PortLimits>): AsyncGenerator<(text: string) => Promise<string>> {
  const shown = material();
  const plain = await listening(limits);
  const encrypted = await listening(limits, { tls: () => shown });
  const secure = { port: encrypted.port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] };
  for (const connect of [() => net.connect(plain.port, "127.0.0.1"), () => tls.connect(secure)])
    yield async (text) => {
      const socket = connect();
      let answer = "";
      socket
        .on("error", () => {})
        .on("data", (bytes) => {
          answer += bytes.toString("latin1");
        });
      if (text !== "") socket.write(text);
      await once(socket, "close");
      return answer;
    };
  await plain.stop();
  await encrypted.stop();
}

const fields = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, "v"]));
const http1Request = (headers: Record<string, string>, path = paths.check): string =>
  [`POST ${path} HTTP/1.1`, ...Object.entries(headers).map(([k, v]) => `${k}: ${v}`), "", ""].join("\r\n");

test("HTTP/1 with 10,000 header fields, or with more than the limit, is refused by name of the limit", async () => {
  for await (const answerTo of overHttp1({})) {
    const many = await answerTo(http1Request({ host: "a", ...fields(10_000) }));
    assert.match(many, /^HTTP\/1\.1 431 .*"code":"resource_exhausted".* exceeds 32768 bytes"/s);
    const headers = { host: "a", connection: "close", "content-type": "application/proto", "content-length": "0" };
    const some = await answerTo(http1Request({ ...headers, ...fields(125) }));
    assert.match(some, /^HTTP\/1\.1 429 .*"code":"resource_exhausted","message":"129 header fields exceed 128"/s);
    assert.match(await answerTo(http1Request({ ...headers, ...fields(124) })), /^HTTP\/1\.1 200 /);
  }
});

test("clients of Connect and gRPC see too many or too long header fields as exhausted, and call on", async () => {
  const server = await listening({});
  const baseUrl = `http://127.0.0.1:${server.port}`;
  for (const transport of [
    createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    createGrpcTransport({ baseUrl, idleConnectionTimeoutMs: 50 }),
  ]) {
    const { check } = createClient(Health, transport);
    await assert.rejects(check({}, { headers: fields(200) }), isCode(Code.ResourceExhausted));
    assert.equal((await check({}, { headers: fields(100) })).status, serving);
  }
  const session = http2.connect(baseUrl, { maxSendHeaderBlockLength: 1 << 20 });
  for (const headers of [fields(10_000), { "x-long": "v".repeat(40_000) }]) {
    const stream = session.request({ ":path": paths.check, ":method": "POST", ...headers });
    const [error] = (await once(stream, "error", { signal: AbortSignal.timeout(5_000) })) as [Error];
    assert.match(error.message, /ENHANCE_YOUR_CALM/);
  }
  session.close();
  await server.stop();
});

test("a header that does not come to its end in time is answered with the limit, and its connection closed", async () => {
  for await (const answerTo of overHttp1({ headersMs: 60 })) {
    assert.match(await answerTo(`POST ${paths.check} HTTP/1.1\r\nhost: a\r\nx-`), /^HTTP\/1\.1 408 .* within 60 ms"/s);
  }
  // Over HTTP/2 nothing may come between the parts of a header, so a peer that is slow there answers no ping.
  const server = await listening({ pingMs: 30 });
  const raw = await RawHttp2.connect(server.port);
  raw.call(1, paths.check, 0);
  await raw.closed;
  await server.stop();
});

test("who says nothing, or no TLS, is cut off at once and without a word, also before a handshake and after it", async () => {
  // A connection that is written to before its handshake has ended would stay for this long, and could still become HTTP/2.
  const server = await listening({ headersMs: 40, pingMs: 40, cutMs: 600_000 }, { tls: material });
  for (const text of ["", "POST / HTTP/1.1\r\nhost: a\r\n\r\n"]) {
    const socket = net.connect(server.port, "127.0.0.1");
    let heard = "";
    socket
      .on("error", () => {})
      .on("data", (bytes) => {
        heard += bytes.toString("latin1");
      });
    if (text !== "") socket.write(text);
    await once(socket, "close");
    assert.doesNotMatch(heard, /HTTP/);
  }
  const ALPNProtocols = ["h2"];
  const shaken = tls.connect({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols });
  shaken.on("error", () => {}).resume();
  await once(shaken, "close");
  await server.stop();
});

test("streams above the limit of a connection are refused, and those below it are served", async () => {
  const server = await listening({ streamsMax: 2 });
  const raw = await RawHttp2.connect(server.port);
  for (const stream of [1, 3, 5]) raw.call(stream, paths.check);
  const { payload } = await raw.frame(frameTypes.reset, 5);
  assert.equal(payload.readUInt32BE(0), http2.constants.NGHTTP2_REFUSED_STREAM);
  raw.message(1, 0);
  raw.send(frameTypes.data, 1, 1, Buffer.alloc(0));
  assert.ok((await raw.frame(frameTypes.headers, 1)).payload.length > 0);
  raw.destroy();
  await server.stop();
});

/** What the server says in the end of a call that sends this much of a message, and no more. */
async function endOfHalf(server: Listening, path: string, sent?: Buffer): Promise<http2.IncomingHttpHeaders> {
  const session = http2.connect(`http://127.0.0.1:${server.port}`);
  const stream = session.request({ ":path": path, ":method": "POST", "content-type": "application/grpc" });
  if (sent) stream.write(sent);
  const head: http2.IncomingHttpHeaders[] = [];
  stream.on("response", (headers) => head.push(headers)).on("trailers", (trailers) => head.push(trailers));
  stream.resume();
  await once(stream, "close");
  session.close();
  return Object.assign({}, ...head) as http2.IncomingHttpHeaders;
}

test("a call whose request does not come to its end, and a stream without a first message, are ended in time", async () => {
  const server = await listening({ requestMs: 40 });
  const half = grpcMessage(100).subarray(0, 6);
  const whole = grpcMessage(0);
  for (const [path, sent] of [
    [paths.check, half],
    [paths.check, whole],
    [paths.watch, whole],
    [paths.reflection, half],
    [paths.reflection, undefined],
  ] as const) {
    const end = await endOfHalf(server, path, sent);
    assert.equal(end["grpc-status"], `${Code.DeadlineExceeded}`, `${path} ${sent?.length}`);
    assert.equal(end["grpc-message"], encodeURIComponent("the request did not arrive within 40 ms"));
  }
  await server.stop();
});

test("a stream that has begun in time may wait with its further messages for as long as it likes", async () => {
  const server = await listening({ requestMs: 30 });
  const session = http2.connect(`http://127.0.0.1:${server.port}`);
  const stream = session.request({ ":path": paths.reflection, ":method": "POST", "content-type": "application/grpc" });
  stream.write(grpcMessage(0));
  await once(stream, "data");
  // Another call that is ended for its time shows that this one's would have been over.
  assert.equal((await endOfHalf(server, paths.check))["grpc-status"], `${Code.DeadlineExceeded}`);
  stream.write(grpcMessage(0));
  await once(stream, "data");
  session.destroy();
  await server.stop();
});

test("a peer that answers no ping is cut off, and the handlers of its streams hear of it", async () => {
  let handlerEnded: Promise<void> | undefined;
  const watched = (router: ConnectRouter): void => {
    router.service(Health, {
      async *watch(_request, { signal }) {
        handlerEnded = aborted(signal);
        yield { status: serving };
        await handlerEnded;
      },
    });
  };
  const server = await listening({ pingMs: 30 }, { routes: watched });
  const raw = await RawHttp2.connect(server.port);
  raw.call(1, paths.watch);
  raw.message(1, 0);
  raw.send(frameTypes.data, 1, 1, Buffer.alloc(0));
  await raw.frame(frameTypes.data, 1);
  await raw.closed;
  await handlerEnded;
  assert.ok(handlerEnded);
  await server.stop();
});

test("a message far above the limit is refused with an answer, and the connection is good for the next call", async () => {
  const server = await listening({ requestBytesMax: 1 << 16, cutMs: 50 });
  const baseUrl = `http://127.0.0.1:${server.port}`;
  for (const transport of [
    createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
    createConnectTransport({ baseUrl, httpVersion: "2", idleConnectionTimeoutMs: 50 }),
    createGrpcTransport({ baseUrl, idleConnectionTimeoutMs: 50 }),
  ]) {
    const { check } = createClient(Health, transport);
    await assert.rejects(check({ service: "x".repeat(5 << 20) }), isCode(Code.ResourceExhausted));
    assert.equal((await check({})).status, serving);
  }
  await server.stop();
});

test("messages that are arriving are bounded together, and what has arrived or ended counts no more", async () => {
  const server = await listening({ arrivingBytesMax: 1_000 });
  const raw = await RawHttp2.connect(server.port);
  raw.call(1, paths.check);
  raw.message(1, 900, 800);
  raw.call(3, paths.reflection);
  raw.message(3, 100);
  await raw.frame(frameTypes.data, 3);
  const end = await endOfHalf(server, paths.check, grpcMessage(200));
  assert.match(decodeURIComponent(String(end["grpc-message"])), /arriving exceed 1000 bytes/);
  assert.equal(end["grpc-status"], `${Code.ResourceExhausted}`);
  raw.send(frameTypes.reset, 0, 1, Buffer.from([0, 0, 0, 8]));
  raw.message(3, 950);
  raw.call(5, paths.reflection);
  raw.message(5, 950);
  await raw.frame(frameTypes.data, 5);
  raw.destroy();
  await server.stop();
});
