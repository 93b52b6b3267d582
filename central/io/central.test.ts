import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { afterEach, test } from "node:test";
import tls from "node:tls";
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { type StartedCentral, startedCentral } from "./testing/started-central.ts";

let central: StartedCentral;
afterEach(() => central.stop());

/** @param yaml entries of a flow mapping */
async function started(yaml: string): Promise<StartedCentral> {
  central = await startedCentral(yaml);
  return central;
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
  const { baseUrl, heard, caFile } = await started("tls: {names: [127.0.0.1]}");
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
