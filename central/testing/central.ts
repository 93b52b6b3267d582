import type { DescService } from "@bufbuild/protobuf";
import {
  type Client,
  createClient,
  createRouterTransport,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { dayMs } from "#lib/durations.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { Lifetime } from "#lib/lifetime.ts";
import { type Log, silentLog } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { validation } from "#lib/rpc/validation.ts";
import type { SecretFile } from "#lib/secret-file.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { Grants } from "../access/rights.ts";
import { type Api, api } from "../api.ts";
import { Recorder } from "../audit/recorder.ts";
import type { UrlProbe } from "../catalog/url.ts";
import { catalogServices } from "../catalog-services.ts";
import type { CentralPorts } from "../central.ts";
import { ensureAdminToken } from "../identity/admin-token.ts";
import { type Identity, type KeptIdentity, openIdentity } from "../identity/identity.ts";
import { newSigningKey } from "../io/new-signing-key.ts";
import { testStore } from "../io/testing/test-store.ts";
import { type Implementation, services } from "../services.ts";
import type { Retention } from "../store/retention.ts";
import { openState, type State } from "../store/state.ts";
import type { Store } from "../store/store.ts";

/** A central in this process over a store in memory, on a clock that stands. */
export interface TestCentral {
  readonly state: State;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly identity: KeptIdentity;
  readonly api: Api;
  readonly recorder: Recorder | undefined;
  readonly provider: string;
  readonly adminToken: string;
  /** A client with the given token: by default the administrator's. */
  client<S extends DescService>(service: S, token?: string): Client<S>;
  /** As `client`, but without any token. */
  anonymous<S extends DescService>(service: S): Client<S>;
  /** A token for a user. Without grants it is a user's own token, which may what the user's memberships allow. */
  tokenFor(user: string, grants?: Grants): Promise<string>;
  close(): Promise<void>;
}

export const memoryFile = (path = "memory"): SecretFile & { text: string | undefined } => ({
  path,
  text: undefined,
  async read() {
    return this.text;
  },
  async write(text) {
    this.text = text;
  },
});

// Both cost time to make; all tests of one process share them.
let sharedKey: ReturnType<typeof newSigningKey> | undefined;
let sharedValidation: Interceptor | undefined;

export interface TestCentralOptions {
  /** Silent unless given. */
  readonly log?: Log | undefined;
  /** The one that the test is run over unless given; that stays open. */
  readonly store?: Store | undefined;
  /** One of its own unless given. */
  readonly clock?: VirtualClock | undefined;
  /** Given: calls are written down. */
  readonly retention?: Retention;
  /** Given: URLs are probed by it. */
  readonly probeUrl?: UrlProbe;
  /** The system's unless given. */
  readonly random?: Random;
  /** Given: composes the api in place of the catalog's services and `more`. */
  readonly compose?: (ports: CentralPorts) => Api | Promise<Api>;
}

/** @param more implementations beside the catalog's, which may use the ports that they are given */
export async function testCentral(
  more: (ports: {
    state: State;
    clock: VirtualClock;
    random: Random;
    log: Log;
    identity: Identity;
  }) => readonly Implementation[] | Promise<readonly Implementation[]> = () => [],
  {
    log = silentLog,
    store,
    clock = new VirtualClock(),
    retention,
    probeUrl,
    random = systemRandom,
    compose,
  }: TestCentralOptions = {},
): Promise<TestCentral> {
  const lifetime = new Lifetime(log);
  const stop = new AbortController();
  const used = store ? { store, close: async () => {} } : testStore({ clock, random, log });
  const state = await openState({ store: used.store, clock, random, log }, stop.signal);
  const provider = "provider";
  sharedKey ??= newSigningKey();
  sharedValidation ??= validation(services);
  const key = await sharedKey;
  const identity = await openIdentity({
    state,
    clock,
    random,
    provider,
    issuer: "test",
    newSigningKey: async () => key,
  });
  const file = memoryFile();
  await ensureAdminToken({ state, identity, clock, log, provider, file });
  const adminToken = (file.text ?? "").trim();
  const version = { version: "0", revision: "test", gitSha1: "", buildDate: "" };
  const ports = { state, clock, random, log, ...(probeUrl && { probeUrl }) };
  const recorder = retention && new Recorder({ ...ports, retention });
  const served = compose
    ? await compose({ ...ports, identity, provider, version, lifetime, validate: sharedValidation })
    : api({
        ...ports,
        recorder,
        identity,
        implementations: [
          ...catalogServices({ ...ports, identity, provider, version, health: () => [] }),
          ...(await more({ ...ports, identity })),
        ],
        serving: () => "serving",
        validate: sharedValidation,
      });
  // Each is a whole server with all its routes.
  const transports = new Map<string | undefined, Transport>();
  const transportWith = (token: string | undefined) => {
    const transport = transports.get(token) ?? transportTo(served, token);
    transports.set(token, transport);
    return transport;
  };
  return {
    state,
    clock,
    random,
    identity,
    api: served,
    recorder,
    provider,
    adminToken,
    client: (service, token = adminToken) => createClient(service, transportWith(token)),
    anonymous: (service) => createClient(service, transportWith(undefined)),
    async tokenFor(user, grants) {
      const kind = grants === undefined ? { tokenType: 2 as const } : grants;
      return (await identity.issue({ user, lifetimeMs: dayMs, ...kind })).secret.reveal();
    },
    async close() {
      await lifetime.stop();
      stop.abort();
      await state.close();
      await used.close();
    },
  };
}

function transportTo({ routes, interceptors }: Api, token: string | undefined): Transport {
  const authorize: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  return createRouterTransport(routes, {
    transport: { interceptors: [authorize] },
    router: { interceptors: [...interceptors] },
  });
}
