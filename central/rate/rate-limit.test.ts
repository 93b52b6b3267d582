import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { InfraRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { ComponentService } from "#gen/metalstack/infra/v2/component_pb.ts";
import { listen } from "#lib/io/one-port.ts";
import { silentLog as log } from "#lib/log.ts";
import { callerAddress } from "../access/caller-address.ts";
import { composeCentral } from "../central.ts";
import { agentUser } from "../identity/identity.ts";
import { testCentral } from "../testing/central.ts";
import { RateLimit } from "./rate-limit.ts";

const rates = { token: { perSecond: 1, burst: 3 }, anonymous: { perSecond: 0.5, burst: 2 } };
const limited = () =>
  testCentral(undefined, {
    compose: (ports) => composeCentral({ ...ports, rateLimit: new RateLimit(rates, ports.clock) }),
  });
const isCode = (code: Code) => (error: unknown) => error instanceof ConnectError && error.code === code;
const exhausted = isCode(Code.ResourceExhausted);

test("a token may be used in a burst, then as often as its rate, and each has its own", async () => {
  const central = await limited();
  const [ann, bob] = await Promise.all(["ann", "bob"].map((user) => central.tokenFor(user)));
  const call = (token: string) => central.client(UserService, token).get({});
  for (let i = 0; i < 3; i++) await call(ann!);
  await assert.rejects(call(ann!), exhausted);
  await call(bob!);
  central.clock.advance(1_000);
  await call(ann!);
  await assert.rejects(call(ann!), exhausted);
  await central.close();
});

test("calls that a token may not make count as well", async () => {
  const central = await limited();
  const ann = await central.tokenFor("ann");
  const denied = () => central.client(AdminTenantService, ann).list({});
  const unlike = () => central.client(ComponentService, ann).ping({});
  for (const call of [denied, unlike, denied]) await assert.rejects(call(), isCode(Code.PermissionDenied));
  for (const call of [denied, unlike]) await assert.rejects(call(), exhausted);
  await central.close();
});

test("what comes without a token, or with a bad one, counts for its address, and good tokens from there do not", async () => {
  const central = await limited();
  await central.anonymous(VersionService).get({});
  await assert.rejects(central.client(UserService, "forged").get({}), isCode(Code.Unauthenticated));
  await assert.rejects(central.client(UserService, "forged").get({}), exhausted);
  await assert.rejects(central.anonymous(VersionService).get({}), exhausted);
  await assert.rejects(central.client(VersionService, "forged").get({}), exhausted);
  await central.client(VersionService).get({});
  await central.close();
});

test("nobody is refused who asks for the server's health", async () => {
  const central = await limited();
  for (let i = 0; i < 10; i++) await central.anonymous(Health).check({});
  await central.close();
});

test("agents, and what only infrastructure may call, are never refused", async () => {
  const central = await limited();
  const agent = await central.tokenFor(agentUser("lab"), { infraRole: InfraRole.EDITOR });
  const daemon = await central.tokenFor("metal-core", { infraRole: InfraRole.EDITOR });
  // What answers them is not part of this central.
  for (let i = 0; i < 10; i++) {
    await assert.rejects(central.client(JoinService, agent).renew({}), (e) => !exhausted(e));
    await central.client(VersionService, agent).get({});
    await assert.rejects(central.client(ComponentService, daemon).ping({}), (e) => !exhausted(e));
  }
  for (let i = 0; i < 3; i++) await central.client(VersionService, daemon).get({});
  await assert.rejects(central.client(VersionService, daemon).get({}), exhausted);
  await central.close();
});

test("every protocol says when to ask again, in its header and for programs", async () => {
  const central = await limited();
  const port = await listen({ ...central.api, log }, { host: "127.0.0.1", port: 0 });
  const base = { baseUrl: `http://127.0.0.1:${port.port}`, httpVersion: "1.1" as const };
  for (let i = 0; i < 2; i++) await createClient(VersionService, createConnectTransport(base)).get({});
  for (const transport of [
    createConnectTransport(base),
    createGrpcWebTransport(base),
    createGrpcTransport({ ...base, idleConnectionTimeoutMs: 50 }),
  ]) {
    await assert.rejects(createClient(VersionService, transport).get({}), (error) => {
      assert.ok(error instanceof ConnectError);
      assert.equal(error.code, Code.ResourceExhausted);
      assert.equal(error.metadata.get("retry-after"), "2");
      assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, "RATE_LIMIT");
      assert.equal(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds, 2n);
      assert.match(error.rawMessage, /without a good token from 127\.0\.0\.1: try again in 2 s/);
      return true;
    });
  }
  await port.stop();
  await central.close();
});

test("callers behind a trusted proxy count for themselves, and one network of IPv6 counts as one", async () => {
  const central = await limited();
  const trusted = [{ family: 4, network: 0x7f000001n, length: 32 }] as const;
  const from = (peer: string, forwardedFor?: string) => callerAddress(trusted, peer, forwardedFor);
  const port = await listen({ ...central.api, callerAddress: from, log }, { host: "127.0.0.1", port: 0 });
  const transport = createConnectTransport({ baseUrl: `http://127.0.0.1:${port.port}`, httpVersion: "1.1" });
  const call = (address: string) =>
    createClient(VersionService, transport).get({}, { headers: { "x-forwarded-for": address } });
  for (const address of ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]) await call(address);
  for (const address of ["192.0.2.1", "2001:db8::3", "198.51.100.1, 192.0.2.1"])
    await assert.rejects(call(address), exhausted);
  await call("2001:db8:0:1::1");
  await port.stop();
  await central.close();
});
