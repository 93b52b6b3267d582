import assert from "node:assert/strict";
import { once } from "node:events";
import http2, { type ClientHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { ClientSessions } from "./client-sessions.ts";

const server = http2.createServer().listen(0, "127.0.0.1");
server.on("stream", (stream) => stream.on("error", () => {}));
const open = new Set<http2.ServerHttp2Session>();
server.on("session", (session) => {
  open.add(session);
  session.on("error", () => {});
});
await once(server, "listening");
after(() => {
  for (const session of open) session.destroy();
  server.close();
});
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const opened = async (sessions: ClientSessions) => {
  const stream = await sessions.request("POST", "/", {}, {});
  stream.on("error", () => {});
  return stream.session as ClientHttp2Session;
};

test("an error of a connection that was replaced already ends no process", async () => {
  const sessions = new ClientSessions(url);
  const first = await opened(sessions);
  const closed = new Promise((resolve) => first.once("close", resolve));
  first.destroy(new Error("PING timed out"));
  const second = await opened(sessions);
  assert.notEqual(second, first);
  await closed;
  sessions.abort();
});

test("a connection that is destroyed is not pinged", async () => {
  const sessions = new ClientSessions(url);
  const session = await opened(sessions);
  assert.equal(
    session.ping(() => {}),
    true,
  );
  session.destroy();
  assert.equal(
    session.ping(() => {}),
    false,
  );
  sessions.abort();
});
