// A central and agents over real TLS on loopback, on a clock that the test moves. OpenSSL looks at the host's clock whatever ours
// says: so ours begins half a day before it, and what central signs for itself is good for both.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import { create } from "@bufbuild/protobuf";
import { composeAgent } from "#agent/agent.ts";
import { verifyJwt } from "#agent/api/jwt-verifier.ts";
import { jwtSigner } from "#agent/boot/jwt-signer.ts";
import { centralAccess } from "#agent/io/central-access.ts";
import { FakeCache } from "#agent/testing/site.ts";
import { composeCentral } from "#central/central.ts";
import { ensureAdminToken } from "#central/identity/admin-token.ts";
import { openIdentity } from "#central/identity/identity.ts";
import { newSigningKey } from "#central/io/new-signing-key.ts";
import { serverTls } from "#central/io/server-tls.ts";
import { Authority } from "#central/join/authority.ts";
import { kinds } from "#central/store/kinds.ts";
import { MemoryStore } from "#central/store/memory-store.ts";
import { openState, type State } from "#central/store/state.ts";
import { memoryFile } from "#central/testing/central.ts";
import { holdfast } from "#cli/testing/rehearsal.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import { listen } from "#lib/io/one-port.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { Lifetime } from "#lib/lifetime.ts";
import { type Log, type LogFields, silentLog } from "#lib/log.ts";
import type { MemoryDisk } from "#lib/memory-disk.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";

export const partition = "p1";
export const hourMs = 3_600_000;
/** A turn costs the host some microseconds, a second passes after so many: nothing on loopback takes a deadline's time. */
const turnsPerSecond = 200;
const secondsMax = 600;

export class Place {
  readonly clock = new VirtualClock(Date.now() - 12 * hourMs);
  readonly folder = mkdtempSync(path.join(tmpdir(), "holdfast-join-"));
  readonly store = new MemoryStore({ clock: this.clock, random });
  /** Everything that central and agents have logged. */
  readonly logged: string[] = [];
  readonly joinTokenFile = path.join(this.folder, "join-token");
  readonly #lives: Lifetime[] = [];

  readonly log: Log = this.#listening();

  begin(): Lifetime {
    const lifetime = new Lifetime(silentLog);
    this.#lives.push(lifetime);
    return lifetime;
  }

  async end(): Promise<void> {
    for (const life of this.#lives.reverse()) await life.stop();
    rmSync(this.folder, { recursive: true });
  }

  /** Moves time on, a second after every so many turns, until it is so. @throws when it never is */
  async until(what: string, isSo: () => boolean): Promise<void> {
    for (let i = 0; i < secondsMax * turnsPerSecond; i++) {
      if (isSo()) return;
      await turn();
      if (i % turnsPerSecond === turnsPerSecond - 1) this.clock.advance(1000);
    }
    throw new Error(`never happened: ${what}\n${this.logged.slice(-20).join("\n")}`);
  }

  write(text: string): void {
    writeFileSync(this.joinTokenFile, text);
  }

  #listening(): Log {
    const hear = (event: string, fields: LogFields = {}) =>
      void this.logged.push(`${event} ${inspect(fields, { depth: 9 })}`);
    const log: Log = { debug: hear, info: hear, warn: hear, error: hear, child: () => log };
    return log;
  }
}

/** The shipped central under a certificate of its own. */
export async function startCentral(place: Place, port = 0) {
  const { clock, store, folder, log } = place;
  const lifetime = place.begin();
  const state = await openState({ store, clock, random, log: silentLog }, lifetime.signal);
  lifetime.onStop("state", () => state.close());
  const provider = "provider";
  const identity = await openIdentity({ state, clock, random, newSigningKey, provider, issuer: "test" });
  const file = memoryFile();
  await ensureAdminToken({ state, identity, clock, log: silentLog, provider, file });
  const authority = await Authority.open({ state, keys, clock, random });
  const caFile = path.join(folder, `ca-${random.uuid()}.pem`);
  const config = { names: ["127.0.0.1"], caFile, certFile: undefined, keyFile: undefined };
  const tls = await serverTls(config, authority, { clock, log });
  const join = { authority, keys, shown: tls.shown, certificateMs: hourMs };
  const version = { version: "0", revision: "test", gitSha1: "", buildDate: "" };
  const composed = composeCentral({ state, identity, provider, version, join, lifetime, clock, random, log });
  const server = await listen(
    { ...composed, tls: tls.load, limits: { drainMs: 0 }, log: silentLog },
    { host: "127.0.0.1", port },
  );
  lifetime.onStop("port", () => server.stop());
  if (!state.get(kinds.partition, partition))
    await state.transact((tx) => tx.put(kinds.partition, partition, create(PartitionSchema, { id: partition })));
  const url = `https://127.0.0.1:${server.port}`;
  const env = { HOLDFAST_SERVER: url, HOLDFAST_TOKEN: file.text?.trim() ?? "", HOLDFAST_CA: "ca" };
  return {
    state,
    authority,
    port: server.port,
    stop: () => lifetime.stop(),
    /** What the administrator types. */
    types: (...words: string[]) => holdfast(words, { env, files: { ca: readFileSync(caFile, "utf8") }, clock }),
  };
}

export const nameSize = (state: State, name: string) =>
  state.transact((tx) => tx.put(kinds.size, "small", create(SizeSchema, { id: "small", name })));

/** The shipped agent, with nothing around it: what it follows and how is all that it does. */
export async function startAgent(place: Place, disk: MemoryDisk) {
  const { clock, joinTokenFile, log } = place;
  const lifetime = place.begin();
  const central = { url: undefined, tokenFile: undefined, caFile: undefined, joinTokenFile };
  const access = await centralAccess({ partition, central }, { disk, clock, random, log });
  const settings = {
    partition,
    url: "http://127.0.0.1:1",
    newMachines: "leave alone" as const,
    bmc: { addresses: [], pollMs: hourMs, searchMs: hourMs },
  };
  const agent = await composeAgent(settings, {
    ...access,
    disk,
    openCache: async () => new FakeCache(),
    connectBmc: () => {
      throw new Error("there is no BMC");
    },
    verifyToken: verifyJwt,
    signer: jwtSigner,
    lifetime,
    clock,
    random,
    log,
  });
  agent.start();
  return {
    ledger: agent.site.ledger,
    outbox: agent.outbox,
    get link() {
      return agent.link.state;
    },
    sizeName: () => agent.site.ledger.get("size", "small", SizeSchema)?.name,
    certificate: () => agent.onSite.certificate()!,
    stop: () => lifetime.stop(),
  };
}
