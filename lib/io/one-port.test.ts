import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import type http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import tls from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, createClient, type ServiceImpl } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import grpc from "@grpc/grpc-js";
import { Health, HealthCheckRequestSchema, HealthCheckResponseSchema } from "#gen/grpc/health/v1/health_pb.ts";
import { silentLog } from "../log.ts";
import { type Peer, peerKey } from "../rpc/peer.ts";
import { certificate, keyIdOf, serialBytes, serialOf, type Use } from "../x509/certificate.ts";
import { certificatePem, pem } from "../x509/pem.ts";
import { ecdsaKeys } from "./ecdsa-keys.ts";
import { type Listening, listen, type OnePort, type TlsMaterial } from "./one-port.ts";

const serving = 1;
let peer: Peer | undefined;
const routes = (router: ConnectRouter): void => {
  router.service(Health, {
    check: (_request, context) => {
      peer = context.values.get(peerKey);
      return { status: serving };
    },
    async *watch(_request, context) {
      yield { status: serving };
      await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve(), { once: true }));
      throw ConnectError.from(context.signal.reason);
    },
  });
};
const options: OnePort = {
  routes,
  log: silentLog,
  http: (req, res) => {
    if (req.url !== "/plain") return false;
    if (req.url === "/plain") res.end("plain text");
    return true;
  },
};
const local = { host: "127.0.0.1", port: 0 };

let open: Listening;
let url: string;
before(async () => {
  open = await listen(options, local);
  url = `http://127.0.0.1:${open.port}`;
});
after(() => open.stop());

const exchange = async (port: number, chunks: readonly (string | Uint8Array)[]): Promise<string> => {
  const socket = net.connect(port, "127.0.0.1");
  const received: Buffer[] = [];
  socket.on("data", (chunk) => received.push(chunk));
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.setNoDelay(true);
  for (const chunk of chunks) {
    socket.write(chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await once(socket, "close");
  return Buffer.concat(received).toString("latin1");
};

test("Connect in binary and in JSON over HTTP/1.1 is served", async () => {
  for (const useBinaryFormat of [true, false]) {
    const client = createClient(Health, createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat }));
    assert.equal((await client.check({})).status, serving);
  }
  assert.equal(peer?.address, "127.0.0.1");
  assert.equal(peer?.encrypted, false);
});

test("Connect and gRPC-Web over h2c and HTTP/1.1 are served on the same port", async () => {
  for (const httpVersion of ["1.1", "2"] as const) {
    for (const make of [createConnectTransport, createGrpcWebTransport]) {
      const client = createClient(Health, make({ baseUrl: url, httpVersion, idleConnectionTimeoutMs: 50 } as never));
      assert.equal((await client.check({})).status, serving);
    }
  }
});

test("grpc-js is served over h2c", async () => {
  const client = new grpc.Client(`127.0.0.1:${open.port}`, grpc.credentials.createInsecure());
  const status = await new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (request) => Buffer.from(toBinary(HealthCheckRequestSchema, request)),
      (bytes) => fromBinary(HealthCheckResponseSchema, bytes),
      create(HealthCheckRequestSchema, {}),
      (error, response) => (error ? reject(error) : resolve(response?.status)),
    );
  });
  client.close();
  assert.equal(status, serving);
});

test("a path that is no RPC goes to the plain handler, and is not found when that declines", async () => {
  const get = async (path: string) => {
    const response = await fetch(url + path);
    return `${response.status} ${await response.text()}`;
  };
  assert.equal(await get("/plain"), "200 plain text");
  assert.equal(await get("/other"), "404 not found\n");
});

test("HTTP/1.1 that arrives byte by byte is served", async () => {
  const request = "GET /plain HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
  assert.match(await exchange(open.port, request.split("")), /^HTTP\/1\.1 200 OK[\s\S]*plain text/);
});

test("a method that begins like the HTTP/2 preface is HTTP/1.1 all the same", async () => {
  const answer = await exchange(open.port, ["PRI * HT", "TP/1.1\r\nhost: a\r\n\r\n"]);
  assert.match(answer, /^HTTP\/1\.1 400/);
});

test("an HTTP/2 preface that arrives byte by byte, or together with the settings, is served", async () => {
  const preface = [...Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")].map((b) => Buffer.from([b]));
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  const goAway = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const isSettings = (answer: string) => answer.charCodeAt(3) === 4;
  assert.ok(isSettings(await exchange(open.port, [...preface, settings, goAway])));
  assert.ok(isSettings(await exchange(open.port, [Buffer.concat([...preface, settings, goAway])])));
});

test("rubbish, an impossible host and a hang-up do not stop the server", async () => {
  assert.match(await exchange(open.port, ["\x16\x03\x01 rubbish\r\n\r\n"]), /^HTTP\/1\.1 400/);
  const rpc =
    "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: a b[\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
  assert.match(await exchange(open.port, [rpc]), /^HTTP\/1\.1 400/);
  net.connect(open.port, "127.0.0.1").on("connect", function (this: net.Socket) {
    this.resetAndDestroy();
  });
  assert.equal((await fetch(`${url}/plain`)).status, 200);
});

test("a client that says nothing, or half a request, is cut off", async () => {
  const server = await listen({ ...options, limits: { headersMs: 30 } }, local);
  assert.equal(await exchange(server.port, []), "");
  assert.equal(await exchange(server.port, ["PRI *"]), "");
  await server.stop();
});

test("a message above the limit is refused by name of the limit", async () => {
  const server = await listen({ ...options, limits: { requestBytesMax: 100, responseBytesMax: 100 } }, local);
  const baseUrl = `http://127.0.0.1:${server.port}`;
  for (const transport of [
    createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    createGrpcTransport({ baseUrl, idleConnectionTimeoutMs: 50 }),
  ]) {
    const call = createClient(Health, transport).check({ service: "x".repeat(200) });
    await assert.rejects(call, (e) => e instanceof ConnectError && e.code === Code.ResourceExhausted);
  }
  await server.stop();
});

test("a stop tells open streams that the server is unavailable, and ends without cutting them", async () => {
  const server = await listen(options, local);
  const baseUrl = `http://127.0.0.1:${server.port}`;
  const transports = [createGrpcTransport({ baseUrl }), createConnectTransport({ baseUrl, httpVersion: "1.1" })];
  const ends = [];
  for (const transport of transports) {
    const stream = createClient(Health, transport).watch({})[Symbol.asyncIterator]();
    assert.equal((await stream.next()).value?.status, serving);
    ends.push(assert.rejects(stream.next(), (e) => e instanceof ConnectError && e.code === Code.Unavailable));
  }
  await server.stop();
  await Promise.all(ends);
  await assert.rejects(fetch(baseUrl));
});

test("a stop does not let a stream look whole whose handler just returns when it is told", async () => {
  const returning: OnePort["routes"] = (router) =>
    router.service(Health, {
      async *watch(_request, { signal }) {
        yield { status: serving };
        await once(signal, "abort");
      },
    });
  const server = await listen({ routes: returning, log: silentLog }, local);
  const baseUrl = `http://127.0.0.1:${server.port}`;
  for await (const { status } of createClient(Health, createGrpcTransport({ baseUrl })).watch({})) {
    assert.equal(status, serving);
    break;
  }
  const stream = createClient(Health, createGrpcTransport({ baseUrl })).watch({})[Symbol.asyncIterator]();
  await stream.next();
  const ended = assert.rejects(
    stream.next(),
    (e) => e instanceof ConnectError && e.code === Code.Unavailable && e.rawMessage === "the server is stopping",
  );
  await server.stop();
  await ended;
});

/** Calls that say when they have been reached, and end when they are told to, or by their signal. */
function waiting(limits: OnePort["limits"]) {
  let answer = (): void => {};
  let reached = (): void => {};
  const isReached = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const check: ServiceImpl<typeof Health>["check"] = async (_request, { signal }) => {
    const told = new Promise<void>((resolve) => {
      answer = resolve;
    });
    reached();
    await Promise.race([told, once(signal, "abort")]);
    signal.throwIfAborted();
    return { status: serving };
  };
  const options: OnePort = {
    log: silentLog,
    routes: (router) => router.service(Health, { check }),
    ...(limits && { limits }),
  };
  return { options, isReached, answer: () => answer() };
}

test("a stop lets a unary call come to its end, and takes no further one", async () => {
  const handler = waiting({});
  const server = await listen(handler.options, local);
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.port}` });
  const { check } = createClient(Health, transport);
  const call = check({});
  await handler.isReached;
  const stopped = server.stop();
  await assert.rejects(check({}), /REFUSED_STREAM|stopping/);
  await assert.rejects(fetch(`http://127.0.0.1:${server.port}`));
  handler.answer();
  assert.equal((await call).status, serving);
  await stopped;
});

test("a stop tells a unary call that takes too long that the server is unavailable", async () => {
  const handler = waiting({ drainMs: 20 });
  const server = await listen(handler.options, local);
  const baseUrl = `http://127.0.0.1:${server.port}`;
  const call = createClient(Health, createConnectTransport({ baseUrl, httpVersion: "1.1" })).check({});
  const ended = assert.rejects(call, (e) => e instanceof ConnectError && e.code === Code.Unavailable);
  await handler.isReached;
  await server.stop();
  await ended;
});

test("a stop cuts a handler that does not listen once the time is over", async () => {
  let reached = (): void => {};
  const isReached = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const check = async () => {
    reached();
    return await new Promise<never>(() => {});
  };
  const deaf: OnePort = {
    log: silentLog,
    limits: { drainMs: 10, cutMs: 10 },
    routes: (router) => router.service(Health, { check }),
  };
  const server = await listen(deaf, local);
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.port}` });
  const failed = assert.rejects(createClient(Health, transport).check({}));
  await isReached;
  await server.stop();
  await failed;
});

test("a connection without streams is closed, and so is one that answers no ping", async () => {
  const server = await listen({ ...options, limits: { idleMs: 20 } }, local);
  const idle = http2.connect(`http://127.0.0.1:${server.port}`);
  await once(idle, "close");
  await server.stop();
  const pinging = await listen({ ...options, limits: { pingMs: 10 } }, local);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const answer = await exchange(pinging.port, [preface, Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]);
  assert.ok(answer.length > 0);
  await pinging.stop();
});

function certificateFor(name: string) {
  const folder = mkdtempSync(path.join(tmpdir(), "one-port-"));
  try {
    const files = ["-keyout", `${folder}/key`, "-out", `${folder}/certificate`];
    const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    execFileSync("openssl", ["req", "-x509", ...kind, ...files, "-subj", `/CN=${name}`], { stdio: "ignore" });
    return { key: readFileSync(`${folder}/key`), certificate: readFileSync(`${folder}/certificate`) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const noOpenssl = existsSync("/usr/bin/openssl") ? false : "openssl is not installed (apt-get install openssl)";

test("TLS serves both HTTP versions by ALPN, and a reload shows the new certificate", { skip: noOpenssl }, async () => {
  let material: TlsMaterial = certificateFor("first");
  const server = await listen({ ...options, tls: () => material }, local);
  const nodeOptions = { rejectUnauthorized: false };
  const baseUrl = `https://127.0.0.1:${server.port}`;
  const overHttp2 = createGrpcTransport({ baseUrl, nodeOptions, idleConnectionTimeoutMs: 50 });
  assert.equal((await createClient(Health, overHttp2).check({})).status, serving);
  assert.equal(peer?.encrypted, true);
  const overHttp1 = createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions });
  assert.equal((await createClient(Health, overHttp1).check({})).status, serving);
  const plain = await new Promise<http.IncomingMessage>((resolve) => {
    https.get(`${baseUrl}/plain`, { ...nodeOptions, agent: new https.Agent() }, resolve);
  });
  plain.resume();
  assert.equal(plain.statusCode, 200);
  const shown = async () => {
    const socket = tls.connect(server.port, "127.0.0.1", nodeOptions);
    await once(socket, "secureConnect");
    const name = socket.getPeerCertificate().subject.CN;
    socket.destroy();
    return name;
  };
  assert.equal(await shown(), "first");
  material = certificateFor("second");
  await server.reload();
  assert.equal(await shown(), "second");
  material = { key: "rubbish", certificate: "rubbish" };
  await assert.rejects(server.reload());
  assert.equal(await shown(), "second");
  await server.stop();
});

test("a client certificate is shown to handlers, whoever signed it; without one a call is served as well", async () => {
  const { clientCa, server, client } = certificates();
  const port = await listen({ ...options, tls: () => ({ ...server, clientCa }) }, local);
  const baseUrl = `https://127.0.0.1:${port.port}`;
  const shown = async (nodeOptions: object) => {
    const transport = createGrpcTransport({ baseUrl, nodeOptions, idleConnectionTimeoutMs: 50 });
    assert.equal((await createClient(Health, transport).check({})).status, serving);
    return peer?.certificate;
  };
  const fingerprint = (pemText: string) =>
    new X509Certificate(pemText).fingerprint256.replaceAll(":", "").toLowerCase();
  assert.equal(await shown({ ca: server.certificate }), undefined);
  for (const { key, certificate } of [client, server])
    assert.equal(await shown({ ca: server.certificate, key, cert: certificate }), fingerprint(certificate));
  await port.stop();
});

/** Self-signed ones of a server at loopback and of a client; the client's authority is the client itself. */
function certificates() {
  const selfSigned = (use: Use) => {
    const { privateKey, publicKey } = ecdsaKeys.newPair();
    const keyId = keyIdOf(ecdsaKeys.sha256(publicKey));
    const init = { subject: use.kind, issuer: { name: use.kind, keyId }, publicKey, keyId, fromMs: 0, use };
    const serial = serialOf(new Uint8Array(serialBytes).fill(1));
    const made = certificate({ ...init, serial }, (told) => ecdsaKeys.sign(privateKey, told));
    return { key: pem("PRIVATE KEY", privateKey), certificate: certificatePem(made) };
  };
  const client = selfSigned({ kind: "client" });
  return { server: selfSigned({ kind: "server", names: ["127.0.0.1"] }), client, clientCa: client.certificate };
}

test("a Unix socket is made for its owner alone, serves both HTTP versions, and is gone after the stop", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "one-port-"));
  const socket = path.join(folder, "port.sock");
  const mask = process.umask(0);
  const server = await listen(options, { socket });
  assert.deepEqual([server.address, server.port, statSync(socket).mode & 0o777], [socket, 0, 0o600]);
  assert.equal(process.umask(mask), 0, "the mask is as it was");
  const baseUrl = "http://local";
  const overHttp1 = createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions: { socketPath: socket } });
  assert.equal((await createClient(Health, overHttp1).check({})).status, serving);
  assert.deepEqual(peer, { address: "", encrypted: false, certificate: undefined });
  const nodeOptions = { createConnection: () => net.connect({ path: socket }) };
  const overHttp2 = createGrpcTransport({ baseUrl, nodeOptions, idleConnectionTimeoutMs: 50 });
  assert.equal((await createClient(Health, overHttp2).check({})).status, serving);
  await server.stop();
  assert.ok(!existsSync(socket));
  rmSync(folder, { recursive: true });
});
