import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import tls from "node:tls";
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { readConfig } from "#lib/config.ts";
import { Lifetime } from "#lib/lifetime.ts";
import type { Log, LogFields } from "#lib/log.ts";
import { centralConfigSchema } from "../config.ts";
import { startCentral } from "./central.ts";

let folder: string;
let lifetime: Lifetime;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "holdfast-central-"));
});
afterEach(async () => {
  await lifetime.stop();
  rmSync(folder, { recursive: true });
});

/** Central as it is started by this configuration, on a free port of loopback, over a store in memory. */
async function started(
  yaml: string,
): Promise<{ readonly baseUrl: string; readonly token: string; readonly heard: Heard }> {
  const adminTokenFile = path.join(folder, "admin-token");
  const text = `{listen: {port: 0}, store: {kind: memory}, adminTokenFile: ${adminTokenFile}, ${yaml}}`;
  const config = readConfig(centralConfigSchema, { argv: [], env: {}, file: { name: "central.yaml", text } });
  assert.ok(config.ok, config.ok ? "" : config.error.join("\n"));
  const heard = new Heard();
  lifetime = new Lifetime(heard.log);
  await startCentral(config.value, { log: heard.log, lifetime });
  const { url } = await heard.event("listening");
  return { baseUrl: String(url), token: readFileSync(adminTokenFile, "utf8").trim(), heard };
}

/** A log whose events can be waited for. */
class Heard {
  readonly #events = new Map<string, LogFields>();
  readonly #waiting = new Map<string, (fields: LogFields) => void>();
  readonly #note = (event: string, fields: LogFields = {}) => {
    this.#events.set(event, fields);
    this.#waiting.get(event)?.(fields);
  };
  readonly log: Log = {
    ...{ debug: this.#note, info: this.#note, warn: this.#note, error: this.#note },
    child: () => this.log,
  };

  async event(name: string): Promise<LogFields> {
    return this.#events.get(name) ?? (await new Promise((resolve) => this.#waiting.set(name, resolve)));
  }
}

const exhausted = (error: unknown) => error instanceof ConnectError && error.code === Code.ResourceExhausted;
const clientOf = <S extends DescService>(service: S, baseUrl: string) =>
  createClient(service, createConnectTransport({ baseUrl, httpVersion: "1.1" }));

test("the configured rates hold for a token and for an address, whose proxy is believed when it is trusted", async () => {
  const { baseUrl, token } = await started(
    "rate: {perSecond: 0.001, burst: 2, anonymousPerSecond: 0.001, anonymousBurst: 1}, trustedProxies: [127.0.0.1/32]",
  );
  const { get } = clientOf(VersionService, baseUrl);
  const from = (address: string) => ({ headers: { "x-forwarded-for": address } });
  await get({}, from("192.0.2.1"));
  await get({}, from("192.0.2.2"));
  await assert.rejects(get({}, from("192.0.2.1")), exhausted);
  const authorized = { headers: { authorization: `Bearer ${token}` } };
  for (let i = 0; i < 2; i++) await clientOf(UserService, baseUrl).get({}, authorized);
  await assert.rejects(clientOf(UserService, baseUrl).get({}, authorized), exhausted);
});

test("rates of 0 are no limit", async () => {
  const { baseUrl } = await started("rate: {perSecond: 0, anonymousPerSecond: 0, anonymousBurst: 1}");
  for (let i = 0; i < 5; i++) await clientOf(VersionService, baseUrl).get({});
});

test("pages of configured origins may call, with a token", async () => {
  const { baseUrl } = await started("origins: [https://console.example]");
  const asked = async (origin: string) => {
    const headers = { origin, "access-control-request-method": "POST" };
    const request = http.request(`${baseUrl}/metalstack.api.v2.VersionService/Get`, { method: "OPTIONS", headers });
    request.end();
    const [{ statusCode, headers: answer }] = (await once(request, "response")) as [http.IncomingMessage];
    return [statusCode, /authorization/i.test(answer["access-control-allow-headers"] ?? "")];
  };
  assert.deepEqual(await asked("https://console.example"), [204, true]);
  assert.deepEqual(await asked("https://evil.example"), [403, false]);
});

test("SIGHUP gives the port another certificate while it goes on", async () => {
  const caFile = path.join(folder, "ca.pem");
  const { baseUrl, heard } = await started(`tls: {names: [127.0.0.1], caFile: ${caFile}}`);
  const shown = async () => {
    const socket = tls.connect({ host: "127.0.0.1", port: Number(new URL(baseUrl).port), ca: readFileSync(caFile) });
    await once(socket, "secureConnect");
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const first = await shown();
  assert.equal(await shown(), first);
  process.emit("SIGHUP");
  await heard.event("certificate-reloaded");
  assert.notEqual(await shown(), first);
});
