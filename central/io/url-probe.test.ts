import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { urlProbe } from "./url-probe.ts";

const asked: string[] = [];
const server = http.createServer((request, response) => {
  const { method, url, headers } = request;
  asked.push(`${method} ${url} ${headers.range ?? ""}`.trim());
  if (url === "/silent") return;
  if (url === "/moved") response.writeHead(302, { location: "/image" });
  else if (url === "/no-head") response.writeHead(method === "HEAD" ? 405 : 206);
  else response.writeHead(url === "/image" ? 200 : 404);
  response.end(method === "HEAD" ? undefined : "x");
});
let base: string;
before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

test("what can be fetched is fine, also behind a redirection or without HEAD", async () => {
  const probe = urlProbe();
  for (const path of ["/image#sha256=00", "/moved", "/no-head"])
    assert.equal(await probe(base + path), undefined, path);
  assert.ok(asked.includes("GET /no-head bytes=0-0"));
});

test("what is not there, does not answer or has no such host is told in words", async () => {
  assert.equal(await urlProbe()(`${base}/gone`), "HTTP 404");
  assert.equal(await urlProbe(50)(`${base}/silent`), "no answer within 50 ms");
  assert.match((await urlProbe()("http://127.0.0.1:1/")) ?? "", /bad port|ECONNREFUSED/);
  assert.match((await urlProbe()("http://host.invalid/")) ?? "", /host\.invalid/);
});

test("what central does not have to fetch is not asked for", async () => {
  assert.equal(await urlProbe()("file:///srv/image.tar"), undefined);
});
