// The shipped central over a real etcd and a real socket, for benchmarks.
import type { Message } from "@bufbuild/protobuf";
import { composeCentral } from "#central/central.ts";
import { openIdentity } from "#central/identity/identity.ts";
import { EtcdStore } from "#central/io/etcd-store.ts";
import { newSigningKey } from "#central/io/new-signing-key.ts";
import type { Kind } from "#central/store/kinds.ts";
import { openState, type State } from "#central/store/state.ts";
import { InfraRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { Lifetime } from "#lib/lifetime.ts";
import { type Log, silentLog } from "#lib/log.ts";
import { nowMs } from "./protocol.ts";

export interface BenchCentral {
  readonly url: string;
  /** Speaks for every partition's agent. */
  readonly token: string;
  /** Has the roles that the store gives to this user's login. */
  tokenOf(user: string): Promise<string>;
  readonly state: State;
  put(kind: Kind, id: string, value: Message): Promise<void>;
  /** Resolves when a snapshot to that partition begins, with the time. */
  snapshotOf(partition: string): Promise<number>;
  /** Nobody is listened to any more; all connections end. */
  away(): Promise<void>;
  back(): Promise<void>;
  stop(): Promise<void>;
}

export async function startBenchCentral(
  endpoints: readonly string[],
  { isAudited = false }: { readonly isAudited?: boolean } = {},
): Promise<BenchCentral> {
  const begun = new Map<string, (atMs: number) => void>();
  const log: Log = {
    ...silentLog,
    info: (event, fields) => {
      if (event === "agent-follows") begun.get(String(fields?.partition))?.(nowMs());
    },
  };
  const lifetime = new Lifetime(log);
  const store = new EtcdStore({ clock, random, log }, { endpoints });
  const state = await openState({ store, clock, random, log }, lifetime.signal);
  const identity = await openIdentity({ state, clock, random, newSigningKey, provider: "provider", issuer: "bench" });
  const grant = { user: "bench", lifetimeMs: dayMs, infraRole: InfraRole.EDITOR };
  const token = (await identity.issue(grant)).secret.reveal();
  const version = { version: "0", revision: "bench", gitSha1: "", buildDate: "" };
  const audit = isAudited ? { audit: { retention: { keepMs: 14 * dayMs, bytesMax: 64 << 20 } } } : {};
  const parts = { state, identity, provider: "provider", version, lifetime, clock, random, log };
  const api = composeCentral({ ...parts, ...audit });
  const served = { routes: api.routes, interceptors: api.interceptors, log, limits: { drainMs: 100 } };
  let server: Listening = await listen(served, { host: "127.0.0.1", port: 0 });
  const { port } = server;
  return {
    url: `http://127.0.0.1:${port}`,
    token,
    tokenOf: async (user) =>
      (await identity.issue({ user, lifetimeMs: dayMs, tokenType: TokenType.USER })).secret.reveal(),
    state,
    put: async (kind, id, value) => void (await state.transact((tx) => tx.put(kind, id, value))),
    snapshotOf: (partition) => new Promise((resolve) => begun.set(partition, resolve)),
    away: () => server.stop(),
    back: async () => {
      server = await listen(served, { host: "127.0.0.1", port });
    },
    stop: async () => {
      await lifetime.stop();
      await server.stop();
      await state.close();
      await store.close();
    },
  };
}
