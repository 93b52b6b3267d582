import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { decodeJwt } from "jose";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenService, TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { silentLog as log } from "#lib/log.ts";
import { Secret } from "#lib/secret.ts";
import { callbackPath, flowMs, type LoginRules } from "../login/login.ts";
import {
  Browser,
  clientId,
  clientSecret,
  startProvider,
  type TestProvider,
} from "../login/testing/identity-provider.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";
import { loginHandler } from "./login-http.ts";
import { oidcProvider } from "./oidc-provider.ts";

let provider: TestProvider;
let central: TestCentral;
let port: Listening;
let base: string;
const console = "https://console.example/login";
const loopback = "http://127.0.0.1:1/callback";
const sessionMs = 8 * 3_600_000;
const userClaim = "email";

before(async () => {
  provider = await startProvider();
  central = await testCentral();
  // The port is known only when it listens, and the rules want to know it.
  let serve: ReturnType<typeof loginHandler> | undefined;
  const { routes, interceptors } = central.api;
  port = await listen(
    { routes, interceptors, log, http: (...args) => serve?.(...args) ?? false },
    { host: "127.0.0.1", port: 0 },
  );
  base = `http://127.0.0.1:${port.port}`;
  provider.register(`${base}${callbackPath}`);
  const rules: LoginRules = { url: base, redirects: [console], userClaim, sessionMs };
  const options = {
    issuer: provider.issuer,
    clientId,
    clientSecret: new Secret(clientSecret),
    scopes: "openid email profile",
    redirectUri: `${base}${callbackPath}`,
    userClaim,
  };
  const identityProvider = oidcProvider(options, central.clock);
  serve = loginHandler({ ...central, identityProvider, log, rules });
});
after(async () => {
  await port.stop();
  await central.close();
  await provider.close();
});
beforeEach(() => {
  provider.accounts.set("ann", { email: "ann@example.org", email_verified: true, name: "Ann" });
});

const start = (redirect: string, path = "/auth/oidc") => `${base}${path}?redirect-url=${encodeURIComponent(redirect)}`;

async function tokenOf(person: string, redirect = loopback): Promise<string> {
  const { url, text } = await new Browser(person).visit(start(redirect), redirect);
  const token = url.searchParams.get("token");
  assert.ok(token, text);
  return token;
}

describe("a login by browser", () => {
  test("gives a user's token to the program that asked, and at first a tenant of one's own", async () => {
    const token = await tokenOf("ann");
    const { user } = await central.client(UserService, token).get({});
    assert.deepEqual([user?.login, user?.name, user?.email], ["ann@example.org", "Ann", "ann@example.org"]);
    assert.equal(user?.defaultTenant?.login, "ann@example.org");
    const { tokens } = await central.client(TokenService, token).list({});
    assert.equal(tokens[0]?.tokenType, TokenType.USER);
    const { exp = 0, iat = 0 } = decodeJwt(token);
    assert.equal(exp - iat, sessionMs / 1000);
    const members = await central.client(TenantService, token).get({ login: "ann@example.org" });
    assert.deepEqual(
      members.tenantMembers.map((m) => [m.id, m.role]),
      [["ann@example.org", TenantRole.OWNER]],
    );
    await tokenOf("ann");
    assert.equal(
      (await central.client(AdminTenantService).list({ query: { login: "ann@example.org" } })).tenants.length,
      1,
    );
  });

  test("goes by its other name as well, and to a page that is allowed", async () => {
    const { url } = await new Browser("ann").visit(`${start(`${console}?tab=2`, "/auth/login")}`, console);
    assert.equal(url.searchParams.get("tab"), "2");
    assert.ok(decodeJwt(url.searchParams.get("token") ?? "").jti);
  });

  test("sends no token to where nobody has allowed it, however it is spelled", async () => {
    for (const target of [
      "https://evil.example/login",
      "https://console.example/login/../evil",
      "https://console.example.evil.example/login",
      "https://console.example@evil.example/login",
      "https://console.example:444/login",
      "http://console.example/login",
      "http://127.0.0.1.evil.example/",
      "http://localhost@evil.example/",
      "javascript:alert(1)",
      "//console.example/login",
      "",
      `http://127.0.0.1/${"a".repeat(2_000)}`,
    ]) {
      const answer = await fetch(start(target), { redirect: "manual" });
      assert.equal(answer.status, 400, target);
      assert.equal(answer.headers.get("location"), null);
    }
    assert.equal((await fetch(`${base}/auth/oidc`, { redirect: "manual" })).status, 400);
  });

  test("binds the answer to the browser that asked: state, nonce and verifier are in no URL but as they must be", async () => {
    const answer = await fetch(start(loopback), { redirect: "manual" });
    assert.equal(answer.status, 303);
    const to = new URL(answer.headers.get("location") ?? "");
    assert.equal(to.searchParams.get("code_challenge_method"), "S256");
    assert.match(
      answer.headers.get("set-cookie") ?? "",
      /^holdfast-login=[\w.-]+; Path=\/auth; Max-Age=600; HttpOnly; SameSite=Lax$/,
    );
    assert.equal(answer.headers.get("cache-control"), "no-store");
    const cookie = (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
    const state = to.searchParams.get("state");
    const back = (query: string, headers: Record<string, string>) =>
      fetch(`${base}${callbackPath}?${query}`, { redirect: "manual", headers });
    const iss = `iss=${encodeURIComponent(provider.issuer)}`;
    assert.equal((await back(`code=x&state=${state}&${iss}`, {})).status, 400, "another browser");
    assert.equal((await back(`code=x&state=another&${iss}`, { cookie })).status, 401, "another login");
    assert.equal((await back(`code=x&state=${state}&${iss}`, { cookie })).status, 401, "a code that is none");
    const refused = await back(`error=access_denied&state=${state}&${iss}`, { cookie });
    assert.equal(refused.status, 401);
    assert.match(await refused.text(), /access_denied/);
    assert.equal((await back(`code=x&state=${state}`, { cookie: `${cookie}x` })).status, 400, "a cookie of one's own");
    central.clock.advance(flowMs + 1_000);
    const late = await back(`code=x&state=${state}&${iss}`, { cookie });
    assert.equal(late.status, 400);
    assert.match(await late.text(), /too long/);
  });

  test("is refused to those who are nobody here", async () => {
    const cases: readonly [string, Parameters<typeof provider.accounts.set>[1], RegExp][] = [
      ["unverified", { email: "eve@example.org", email_verified: false }, /not verified/],
      ["admin", { email: "admin" }, /reserved/],
      ["agent", { email: "partition-agent:lab" }, /reserved/],
      ["strange", { email: "a\u0000b" }, /can be no login/],
      ["spaced", { email: " ann@example.org" }, /can be no login/],
      ["provider", { email: "provider" }, /belongs to others/],
    ];
    for (const [person, account, why] of cases) {
      provider.accounts.set(person, account);
      const { status, text } = await new Browser(person).visit(start(loopback), loopback);
      assert.equal(status, 403, person);
      assert.match(text, why);
    }
    const missing = new Browser("nobody");
    assert.match((await missing.visit(start(loopback), loopback)).text, /no email/);
  });

  test("ends by revoking the token that is shown, and at the identity provider", async () => {
    const token = await tokenOf("ann");
    const answer = await fetch(`${base}/auth/logout/oidc`, {
      redirect: "manual",
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(answer.status, 303);
    assert.ok(answer.headers.get("location")?.startsWith(`${provider.issuer}/session/end`));
    await assert.rejects(central.client(TokenService, token).list({}));
  });
});

describe("a login without a browser of its own", () => {
  const post = async (path: string, form: Record<string, string>) => {
    const answer = await fetch(`${base}${path}`, { method: "POST", body: new URLSearchParams(form) });
    return { status: answer.status, body: (await answer.json()) as Record<string, string> };
  };
  const poll = (device_code: string) =>
    post("/auth/token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code });

  test("waits until a browser somewhere else has said yes, and then gives one token", async () => {
    const { status, body } = await post("/auth/device", {});
    assert.equal(status, 200);
    const code = body.device_code ?? "";
    assert.deepEqual(await poll(code), { status: 400, body: { error: "authorization_pending" } });
    await new Browser("ann").visit(body.verification_uri_complete ?? "");
    const given = await poll(code);
    assert.equal(given.status, 200, JSON.stringify(given.body));
    assert.equal(given.body.token_type, "Bearer");
    const { user } = await central.client(UserService, given.body.access_token).get({});
    assert.equal(user?.login, "ann@example.org");
    assert.equal((await poll(code)).body.error, "access_denied");
  });

  test("takes no code but those that were begun here, in their time, and one kind of grant", async () => {
    const { body } = await post("/auth/device", {});
    assert.deepEqual((await poll("made up")).body, { error: "expired_token" });
    assert.deepEqual((await post("/auth/token", { grant_type: "password" })).body, { error: "unsupported_grant_type" });
    central.clock.advance(flowMs + 1_000);
    assert.deepEqual((await poll(body.device_code ?? "")).body, { error: "expired_token" });
  });

  test("takes no endless form, and no other method", async () => {
    const form = new URLSearchParams({ device_code: "x".repeat(20_000) });
    assert.equal((await fetch(`${base}/auth/token`, { method: "POST", body: form })).status, 413);
    assert.equal((await fetch(`${base}/auth/token`)).status, 405);
    assert.equal((await fetch(`${base}/auth/elsewhere`)).status, 404);
  });
});

test("an identity provider that does not answer is said to be away", async () => {
  const options = {
    issuer: "http://127.0.0.1:1",
    clientId,
    clientSecret: undefined,
    scopes: "openid",
    redirectUri: base,
    userClaim,
  };
  const away = oidcProvider(options, central.clock);
  await assert.rejects(away.beginDevice(), { code: "unavailable", reason: "PROVIDER_AWAY" });
});
