import assert from "node:assert/strict";
import { once } from "node:events";
import http2, { type ClientHttp2Session } from "node:http2";
import net, { type AddressInfo } from "node:net";
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

/** Until the event. */
const told = (session: ClientHttp2Session, event: string) => new Promise((resolve) => session.once(event, resolve));

test("an error of a connection ends no process, whether it was replaced already or not", async () => {
  const sessions = new ClientSessions(url);
  const first = await opened(sessions);
  const closed = told(first, "close");
  first.destroy(new Error("PING timed out"));
  const second = await opened(sessions);
  assert.notEqual(second, first);
  await closed;
  const closedToo = told(second, "close");
  second.destroy(new Error("again"));
  await closedToo;
});

test("calls share a connection; one that was closed is replaced", async () => {
  const sessions = new ClientSessions(url);
  const [first, same] = await Promise.all([opened(sessions), opened(sessions)]);
  assert.equal(first, same);
  const closed = told(first, "close");
  for (const session of open) session.destroy();
  await closed;
  assert.notEqual(await opened(sessions), first);
  sessions.abort();
});

test("who cannot be reached is named, and asked again by the next call", async () => {
  const sessions = new ClientSessions("http://127.0.0.1:1");
  for (let i = 0; i < 2; i++) await assert.rejects(opened(sessions), /ECONNREFUSED 127.0.0.1:1/);
});

test("a connection that does not answer its ping is given up with its calls", async () => {
  const deaf = net.createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
  await once(deaf, "listening");
  const at = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}`;
  const sessions = new ClientSessions(at, {}, { pingMs: 20, answerMs: 20, idleMs: 60_000 });
  const stream = await sessions.request("POST", "/", {}, {});
  const error = await new Promise((resolve) => stream.once("error", resolve));
  assert.match(String(error), /did not answer a ping within 20 ms/);
  deaf.close();
});

test("a connection without calls is closed after its time", async () => {
  const sessions = new ClientSessions(url, {}, { pingMs: 60_000, answerMs: 60_000, idleMs: 20 });
  const stream = await sessions.request("POST", "/", {}, {});
  const session = stream.session as ClientHttp2Session;
  const closed = told(session, "close");
  stream.close();
  await closed;
});
