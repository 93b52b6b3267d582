import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import { after, before, test } from "node:test";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { silentLog } from "../log.ts";
import { type Listening, listen } from "./one-port.ts";

const listed = "https://console.example";
const crossOrigin = {
  origins: [listed, "https://other.example:8443"],
  requestHeaders: ["Authorization"],
  responseHeaders: ["Retry-After"],
};
const routes = (router: ConnectRouter): void => {
  router.service(Health, {
    check: ({ service }) => {
      if (service !== "") throw new ConnectError("no such service", Code.NotFound);
      return { status: 1 };
    },
  });
};

let server: Listening;
before(async () => {
  server = await listen({ routes, crossOrigin, log: silentLog }, { host: "127.0.0.1", port: 0 });
});
after(() => server.stop());

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const path = "/grpc.health.v1.Health/Check";

async function overHttp1(method: string, headers: Record<string, string>, body = "", to = path): Promise<Answer> {
  const request = http.request({ host: "127.0.0.1", port: server.port, path: to, method, headers, agent: false });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

async function overHttp2(method: string, headers: Record<string, string>, body = "", to = path): Promise<Answer> {
  const session = http2.connect(`http://127.0.0.1:${server.port}`);
  const stream = session.request({ ":path": to, ":method": method, ...headers });
  stream.end(body);
  const [response] = (await once(stream, "response")) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
  const answer = { status: response[":status"] ?? 0, headers: response, body: await text(stream) };
  session.destroy();
  return answer;
}

async function text(chunks: AsyncIterable<Buffer>): Promise<string> {
  let all = "";
  for await (const chunk of chunks) all += chunk.toString("latin1");
  return all;
}

const preflight = (origin: string, headers: string) => ({
  origin,
  "access-control-request-method": "POST",
  "access-control-request-headers": headers,
});
const words = (value: unknown): string[] => String(value).toLowerCase().split(", ");

for (const [name, call] of [
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
] as const) {
  test(`over ${name} a browser is told that a page of a listed origin may make calls of gRPC-Web and Connect`, async () => {
    for (const asked of ["content-type,x-grpc-web,x-user-agent,grpc-timeout,authorization", "connect-timeout-ms"]) {
      const { status, headers, body } = await call("OPTIONS", preflight(listed, asked));
      assert.deepEqual(
        [status, body, headers["access-control-allow-origin"], headers.vary],
        [204, "", listed, "origin"],
      );
      assert.deepEqual(words(headers["access-control-allow-methods"]), ["post", "get"]);
      const allowed = words(headers["access-control-allow-headers"]);
      for (const header of asked.split(",")) assert.ok(allowed.includes(header), header);
      assert.equal(headers["access-control-max-age"], "7200");
      assert.equal(headers["access-control-allow-credentials"], undefined);
    }
  });

  test(`over ${name} the page may read the answer, its refusal, and what tells of both`, async () => {
    for (const type of ["application/json", "application/grpc-web+proto"]) {
      const isJson = type === "application/json";
      for (const isRefused of [false, true]) {
        const message = isJson
          ? JSON.stringify(isRefused ? { service: "x" } : {})
          : "\0\0\0\0".padEnd(isRefused ? 4 : 5, "\0");
        const sent = isJson || !isRefused ? message : "\0\0\0\0\x03\x0a\x01x";
        const { headers, body } = await call("POST", { origin: listed, "content-type": type }, sent);
        assert.equal(headers["access-control-allow-origin"], listed);
        const exposed = words(headers["access-control-expose-headers"]);
        for (const header of ["grpc-status", "grpc-message", "grpc-status-details-bin", "retry-after"])
          assert.ok(exposed.includes(header), header);
        assert.equal(/no such service|no%20such%20service/.test(body), isRefused, `${type} ${body}`);
      }
    }
  });

  test(`over ${name} pages of other origins may not call, and read nothing`, async () => {
    for (const origin of [
      "https://evil.example",
      "null",
      `${listed}:444`,
      "http://console.example",
      `${listed}.evil`,
    ]) {
      const asked = await call("OPTIONS", preflight(origin, "content-type"));
      assert.deepEqual([asked.status, asked.headers["access-control-allow-origin"]], [403, undefined]);
      const { headers } = await call("POST", { origin, "content-type": "application/json" }, "{}");
      assert.deepEqual([headers["access-control-allow-origin"], headers.vary], [undefined, "origin"]);
    }
  });

  test(`over ${name} calls that no page makes are answered as ever`, async () => {
    const { status, headers } = await call("POST", { "content-type": "application/json" }, "{}");
    assert.deepEqual([status, headers["access-control-allow-origin"]], [200, undefined]);
    assert.equal((await call("OPTIONS", { origin: listed })).status, 405);
    assert.equal((await call("OPTIONS", preflight(listed, "content-type"), "", "/nowhere")).status, 404);
  });
}
