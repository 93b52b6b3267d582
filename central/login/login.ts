// Login over plain HTTP, beside the RPCs: as metal-stack's command line expects it for browsers, and RFC 8628 for those without one.
// Nothing is kept between two requests: what has to be remembered goes sealed to the browser or the program, and comes back.
import { base64url } from "jose";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { Refusal, type RefusalCode } from "#lib/refusal.ts";
import type { Issued, KeptIdentity } from "../identity/identity.ts";
import type { State } from "../store/state.ts";
import type { Checks, IdentityProvider } from "./identity-provider.ts";
import { type Claims, personOf } from "./person.ts";
import { ensurePersonalTenant } from "./personal-tenant.ts";
import { redirectTarget } from "./redirect.ts";

export interface LoginPorts {
  readonly state: State;
  readonly identity: KeptIdentity;
  readonly identityProvider: IdentityProvider;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly rules: LoginRules;
}

export interface LoginRules {
  /** Under which people reach central, without a slash at the end. */
  readonly url: string;
  readonly redirects: readonly string[];
  readonly userClaim: string;
  readonly sessionMs: number;
}

export interface LoginRequest {
  readonly method: string;
  readonly path: string;
  /** With its question mark; may be empty. */
  readonly query: string;
  readonly cookies: Readonly<Record<string, string>>;
  /** The Authorization header. */
  readonly authorization: string | null;
  /** Of a POST: its fields. */
  readonly form: URLSearchParams;
}

export interface LoginResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Where the identity provider sends the browser back to; to be registered there under `login.url`. */
export const callbackPath = "/auth/oidc/callback";
/** How long somebody may take at the identity provider. */
export const flowMs = 600_000;
const cookieName = "holdfast-login";
const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code";

type Handler = (ports: LoginPorts, request: LoginRequest) => Promise<LoginResponse>;

/** By method and path. `/auth/login` and `/auth/logout` are the names that metal-stack's documents use. */
const handlers: Readonly<Record<string, Handler>> = {
  "GET /auth/oidc": begin,
  "GET /auth/login": begin,
  [`GET ${callbackPath}`]: finish,
  "GET /auth/logout": logout,
  "GET /auth/logout/oidc": logout,
  "POST /auth/device": beginDevice,
  "POST /auth/token": pollDevice,
};

/** @returns undefined for paths that are not of the login */
export async function login(ports: LoginPorts, request: LoginRequest): Promise<LoginResponse | undefined> {
  const { method, path } = request;
  const isOurs = Object.keys(handlers).some((key) => key.endsWith(` ${path}`));
  if (!isOurs) return undefined;
  const key = `${method} ${path}`;
  const handler = Object.hasOwn(handlers, key) ? handlers[key] : undefined;
  if (handler === undefined) return page(405, "this method is not for this path");
  try {
    return await handler(ports, request);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    ports.log.info("login-refused", { path, reason: error.reason, why: error.message });
    const status = statuses[error.code] ?? 500;
    // RFC 6749 §5.2: to programs every no is a 400.
    if (method === "POST")
      return json(status < 429 ? 400 : status, { error: "access_denied", error_description: error.message });
    return page(status, error.message);
  }
}

const statuses: Readonly<Partial<Record<RefusalCode, number>>> = {
  invalid: 400,
  unauthenticated: 401,
  denied: 403,
  exhausted: 429,
  unavailable: 503,
};

async function begin({ identity, identityProvider, random, rules }: LoginPorts, { query }: LoginRequest) {
  const wanted = new URLSearchParams(query).get("redirect-url");
  if (wanted === null) throw new Refusal("invalid", "redirect-url is wanted: where the token shall be sent");
  const target = redirectTarget(wanted, rules.redirects);
  if (!target.ok) throw new Refusal("invalid", target.error, { reason: "REDIRECT" });
  const drawn = () => base64url.encode(random.bytes(32));
  const checks = { state: drawn(), nonce: drawn(), verifier: drawn() };
  const to = await identityProvider.authorizationUrl(checks);
  const sealed = await identity.seals.seal(cookieName, { ...checks, target: target.value.href }, flowMs);
  return redirect(to, cookie(rules, sealed, flowMs / 1000));
}

async function finish(ports: LoginPorts, { path, query, cookies }: LoginRequest): Promise<LoginResponse> {
  const { identity, identityProvider, rules } = ports;
  const sealed = cookies[cookieName];
  if (sealed === undefined) {
    throw new Refusal("invalid", "the cookie of this login is missing: begin again, in one browser", {
      reason: "SEAL_BROKEN",
    });
  }
  // Sealed by begin(), so it is what was put in there.
  const flow = (await identity.seals.open(cookieName, sealed)) as unknown as Checks & { readonly target: string };
  const claims = await identityProvider.redeem(new URL(`${rules.url}${path}${query}`), flow);
  const { secret } = await admit(ports, claims);
  const target = new URL(flow.target);
  target.searchParams.set("token", secret.reveal());
  return redirect(target, cookie(rules, "", 0));
}

/** A token for whoever the identity provider says it is, and at first their own tenant. */
async function admit(ports: LoginPorts, claims: Claims): Promise<Issued> {
  const { identity, rules, log } = ports;
  const person = personOf(claims, rules.userClaim);
  const isFirst = await ensurePersonalTenant(ports, person);
  const issued = await identity.issue({
    user: person.login,
    description: "Made by a login.",
    tokenType: TokenType.USER,
    lifetimeMs: rules.sessionMs,
  });
  log.info("login", { user: person.login, token: issued.token.uuid, isFirst });
  return issued;
}

/** Ends the session at the identity provider; a token that comes along is revoked. */
async function logout({ identity, identityProvider, rules }: LoginPorts, { authorization }: LoginRequest) {
  const caller = await identity.callerOf(authorization);
  if (caller !== undefined) await identity.revoke(caller.token, caller.user);
  const to = await identityProvider.logoutUrl();
  const forget = cookie(rules, "", 0);
  return to === undefined ? page(200, "logged out", forget) : redirect(to, forget);
}

/** RFC 8628 §3.1. The device code that goes out is ours: sealed, so that none but those that were begun here are polled for. */
async function beginDevice({ identity, identityProvider }: LoginPorts): Promise<LoginResponse> {
  const codes = await identityProvider.beginDevice();
  const { deviceCode, userCode, verificationUri, verificationUriComplete } = codes;
  const expiresSeconds = Math.min(codes.expiresSeconds, flowMs / 1000);
  return json(200, {
    device_code: await identity.seals.seal("device", { deviceCode }, expiresSeconds * 1000),
    user_code: userCode,
    verification_uri: verificationUri,
    ...(verificationUriComplete !== undefined && { verification_uri_complete: verificationUriComplete }),
    expires_in: expiresSeconds,
    interval: codes.intervalSeconds,
  });
}

/** RFC 8628 §3.4, answered by §3.5. */
async function pollDevice(ports: LoginPorts, { form }: LoginRequest): Promise<LoginResponse> {
  if (form.get("grant_type") !== deviceGrant) return json(400, { error: "unsupported_grant_type" });
  const opened = await ports.identity.seals.open("device", form.get("device_code") ?? "").catch((error: unknown) => {
    if (error instanceof Refusal) return undefined;
    throw error;
  });
  if (opened === undefined) return json(400, { error: "expired_token" });
  // Sealed by beginDevice(), so it is a text.
  const claims = await ports.identityProvider.pollDevice(opened.deviceCode as string);
  if (claims === "authorization_pending" || claims === "slow_down") return json(400, { error: claims });
  const { secret } = await admit(ports, claims);
  return json(200, {
    access_token: secret.reveal(),
    token_type: "Bearer",
    expires_in: Math.floor(ports.rules.sessionMs / 1000),
  });
}

/** Only for the paths of the login, and for no script; sent along when the identity provider sends the browser back. */
function cookie({ url }: LoginRules, value: string, seconds: number): Record<string, string> {
  const secure = url.startsWith("https:") ? "; Secure" : "";
  return { "set-cookie": `${cookieName}=${value}; Path=/auth; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}` };
}

/** What is answered holds tokens or leads to them: nobody keeps it, nobody is told where it came from, nothing is run. */
const safe = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};

const page = (status: number, text: string, headers: Record<string, string> = {}): LoginResponse => ({
  status,
  headers: { ...safe, "content-type": "text/plain; charset=utf-8", ...headers },
  body: `${text}\n`,
});

const json = (status: number, answer: object): LoginResponse => ({
  status,
  headers: { ...safe, "content-type": "application/json" },
  body: JSON.stringify(answer),
});

const redirect = (to: URL, headers: Record<string, string>): LoginResponse => ({
  status: 303,
  headers: { ...safe, location: to.href, ...headers },
  body: "",
});
