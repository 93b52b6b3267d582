// The local API over real sockets, as a person's program reaches it.
import assert from "node:assert/strict";
import { linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import * as v from "valibot";
import { SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import { Lifetime } from "#lib/lifetime.ts";
import { silentLog } from "#lib/log.ts";
import { agentConfigSchema } from "../config.ts";
import { onSiteOf } from "../site/testing/on-site.ts";
import { openAgent } from "../testing/site.ts";
import { openSitePort } from "./site-port.ts";

const folder = mkdtempSync(path.join(tmpdir(), "holdfast-site-"));
after(() => rmSync(folder, { recursive: true }));
let lifetime = new Lifetime(silentLog);
afterEach(async () => {
  await lifetime.stop();
  lifetime = new Lifetime(silentLog);
});

const config = (site: object = {}) =>
  v.parse(agentConfigSchema, {
    partition: "p1",
    dataDir: folder,
    central: { url: "http://127.0.0.1:1", tokenFile: "none" },
    boot: { address: "127.0.0.1", subnets: [{ network: "127.0.0.0/8", from: "127.0.0.10", to: "127.0.0.20" }] },
    site,
  });

const socket = path.join(folder, "site.sock");
const overSocket = () =>
  createClient(
    SiteService,
    createConnectTransport({
      baseUrl: "http://agent",
      httpVersion: "1.1",
      nodeOptions: { socketPath: socket },
    }),
  );

async function open(site: object = {}): Promise<void> {
  await openSitePort(config(site), onSiteOf(await openAgent(), () => undefined).served, lifetime);
}

test("the socket is for the agent's own user and root alone, and serves from the first moment", async () => {
  await open();
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  const { status } = await overSocket().getStatus({});
  assert.equal(status?.partition, "p1");
  assert.ok((status?.diskSizeBytes ?? 0n) > 0n);
});

test("a socket that a killed agent left behind is taken over", async () => {
  const dead = net.createServer().listen(`${socket}.dead`);
  await new Promise((resolve) => dead.once("listening", resolve));
  // A hard link stays when the server takes its own name away.
  linkSync(`${socket}.dead`, socket);
  await new Promise((resolve) => dead.close(resolve));
  await open();
  assert.equal((await overSocket().getStatus({})).status?.partition, "p1");
});

test("a socket that is in use, and a file that is none, are left alone", async () => {
  await open();
  const other = new Lifetime(silentLog);
  const { served } = onSiteOf(await openAgent(), () => undefined);
  await assert.rejects(openSitePort(config(), served, other), /another process listens there/);
  const file = path.join(folder, "file");
  writeFileSync(file, "precious");
  await assert.rejects(openSitePort(config({ socket: file }), served, other), /another kind of file is there/);
});

test("a path that is too long for a socket is named with its length", async () => {
  await assert.rejects(open({ socket: path.join(folder, "x".repeat(100)) }), /a path of \d+ bytes exceeds the 107/);
});
