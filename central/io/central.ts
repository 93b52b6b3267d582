// Gives central its ports on this host and starts it: the store first, the port last.
import { readFile } from "node:fs/promises";
import { parsePrefixes } from "#domain/network/rules.ts";
import type { AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import { dayMs, hourMs } from "#lib/durations.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import { listen } from "#lib/io/one-port.ts";
import { secretFile } from "#lib/io/secret-file.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import type { Lifetime } from "#lib/lifetime.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import type { Log } from "#lib/log.ts";
import { keyHeader, replayedHeader } from "#lib/rpc/idempotency-key.ts";
import { planHeader } from "#lib/rpc/plan-header.ts";
import { reasonHeader } from "#lib/rpc/reason-header.ts";
import { uniqueNameHeader } from "#lib/rpc/unique-name.ts";
import { Secret } from "#lib/secret.ts";
import { callerAddress } from "../access/caller-address.ts";
import { auditLine } from "../audit/trace.ts";
import { composeCentral } from "../central.ts";
import type { CentralConfig } from "../config.ts";
import { ensureAdminToken } from "../identity/admin-token.ts";
import { openIdentity } from "../identity/identity.ts";
import { Authority } from "../join/authority.ts";
import { callbackPath } from "../login/login.ts";
import { RateLimit, type Rates } from "../rate/rate-limit.ts";
import { MemoryStore } from "../store/memory-store.ts";
import type { Retention } from "../store/retention.ts";
import { openState } from "../store/state.ts";
import type { Store } from "../store/store.ts";
import { EtcdStore } from "./etcd-store.ts";
import { limitedHttp } from "./limited-http.ts";
import { LmdbStore } from "./lmdb-store.ts";
import { loginHandler } from "./login-http.ts";
import { newSigningKey } from "./new-signing-key.ts";
import { oidcProvider } from "./oidc-provider.ts";
import { serverTls } from "./server-tls.ts";
import { urlProbe } from "./url-probe.ts";
import { versionFacts } from "./version-facts.ts";

export const tokenIssuer = "holdfast";

export async function startCentral(
  config: CentralConfig,
  { log, lifetime }: { readonly log: Log; readonly lifetime: Lifetime },
): Promise<void> {
  const { provider } = config;
  const store = await openStore(config, log);
  lifetime.onStop("store", () => store.close());
  // A stop ends the opening. Once it is open it stays until everything that writes has stopped.
  const opening = linkedSignal(lifetime.signal);
  const state = await openState({ store, clock, random, log }, opening.signal);
  opening.unlink();
  lifetime.onStop("state", () => state.close());
  const identity = await openIdentity({ state, clock, random, newSigningKey, provider, issuer: tokenIssuer });
  await ensureAdminToken({ state, identity, clock, log, provider, file: secretFile(config.adminTokenFile) });
  lifetime.own("identity", identity.keep(log, lifetime.signal));

  const authority = await Authority.open({ state, keys, clock, random });
  const tls = config.tls && (await serverTls(config.tls, authority, { clock, log }));
  const certificateMs = Math.round(config.join.certificateHours * hourMs);
  const join = { authority, keys, shown: () => tls?.shown(), certificateMs };
  const audit = {
    retention: retentionOf(config.audit),
    ...(config.audit.stdout && { tell: (trace: AuditTrace) => void process.stdout.write(auditLine(trace)) }),
  };
  const history = retentionOf(config.history);
  const rateLimit = new RateLimit(ratesOf(config), clock);
  const ports = {
    ...{ state, identity, provider, version: versionFacts(), join, audit, history, rateLimit },
    ...(config.probeUrls && { probeUrl: urlProbe() }),
    ...{ lifetime, clock, random, log },
  };
  const { routes, interceptors } = composeCentral(ports);
  const login = config.login && loginHandler({ ...ports, ...(await loginParts(config.login)) });
  const trusted = parsePrefixes(config.trustedProxies);
  if (!trusted.ok) throw new Error(`trustedProxies: ${trusted.error}`);
  const server = await listen(
    {
      routes,
      interceptors,
      callerAddress: (peer, forwardedFor) => callerAddress(trusted.value, peer, forwardedFor),
      crossOrigin: { origins: config.origins, ...browserHeaders },
      log,
      ...(login && { http: limitedHttp(login, rateLimit) }),
      ...(tls && { tls: tls.load }),
    },
    config.listen,
  );
  lifetime.onStop("port", () => server.stop());
  if (tls) {
    reloadOnHangup(() => server.reload(), log, lifetime);
    lifetime.own(
      "certificate",
      tls.keepFresh(() => server.reload(), lifetime.signal),
    );
  }
  const url = `${tls ? "https" : "http"}://${server.address}:${server.port}`;
  log.info("listening", { url, store: config.store.kind, history: state.history, revision: `${state.revision}` });
}

export async function openStore({ store }: Pick<CentralConfig, "store">, log: Log): Promise<Store> {
  const ports = { clock, random, log };
  switch (store.kind) {
    case "memory":
      return new MemoryStore(ports);
    case "embedded":
      return new LmdbStore(ports, { folder: store.folder });
    case "etcd": {
      const ca = store.caFile && (await readFile(store.caFile, "utf8"));
      const cert = store.certFile && (await readFile(store.certFile, "utf8"));
      const key = store.keyFile && new Secret(await readFile(store.keyFile, "utf8"));
      const password = store.passwordFile && new Secret((await readFile(store.passwordFile, "utf8")).trim());
      return new EtcdStore(ports, {
        endpoints: store.endpoints,
        ...((ca || cert) && { tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) } }),
        ...(store.user && password && { user: { name: store.user, password } }),
      });
    }
  }
}

const retentionOf = ({ days, megabytes }: { readonly days: number; readonly megabytes: number }): Retention => ({
  keepMs: days * dayMs,
  bytesMax: megabytes * 1_000_000,
});

/** Of our own, that web pages may send and read. */
const browserHeaders = {
  requestHeaders: ["authorization", keyHeader, planHeader, reasonHeader, uniqueNameHeader],
  responseHeaders: ["retry-after", replayedHeader],
};

function ratesOf({ rate }: Pick<CentralConfig, "rate">): Rates {
  const { perSecond, burst, anonymousPerSecond, anonymousBurst } = rate;
  return {
    token: perSecond === 0 ? undefined : { perSecond, burst },
    anonymous: anonymousPerSecond === 0 ? undefined : { perSecond: anonymousPerSecond, burst: anonymousBurst },
  };
}

async function loginParts(login: NonNullable<CentralConfig["login"]>) {
  const { issuer, clientId, clientSecretFile, scopes, redirects, userClaim, sessionMinutes } = login;
  const url = login.url.replace(/\/+$/, "");
  const secret = clientSecretFile && new Secret((await readFile(clientSecretFile, "utf8")).trim());
  const redirectUri = `${url}${callbackPath}`;
  const client = { issuer, clientId, clientSecret: secret || undefined, scopes, redirectUri, userClaim };
  return {
    identityProvider: oidcProvider(client, clock),
    rules: { url, redirects, userClaim, sessionMs: sessionMinutes * 60_000 },
  };
}

function reloadOnHangup(reload: () => Promise<void>, log: Log, lifetime: Lifetime): void {
  const hangup = () => {
    reload().then(
      () => log.info("certificate-reloaded"),
      (error: unknown) => log.error("certificate-not-reloaded", { error }),
    );
  };
  process.on("SIGHUP", hangup);
  lifetime.onStop("hangup", () => void process.off("SIGHUP", hangup));
}
