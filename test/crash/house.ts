// One store, and the centrals that live and die over it: two machines that wait, a project with a network, and an agent's hand.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { furtherAdminToken } from "#central/identity/admin-token.ts";
import { openIdentity } from "#central/identity/identity.ts";
import { issueAgentToken } from "#central/identity/issue.ts";
import { tokenIssuer as issuer, openStore } from "#central/io/central.ts";
import { newSigningKey } from "#central/io/new-signing-key.ts";
import { kinds } from "#central/store/kinds.ts";
import { openState, type State } from "#central/store/state.ts";
import type { Store } from "#central/store/store.ts";
import { wholeCentral } from "#central/testing/whole.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { systemClock as clock } from "#lib/io/system-clock.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { bundled, type Program } from "../bundled.ts";
import { Killable } from "./killable.ts";
import { type Ground, groundOf } from "./standing.ts";

export const provider = "provider";
export const user = "admin";

/** Where central's store is: a folder, or etcd. */
export type Kept = { readonly kind: "embedded" } | { readonly kind: "etcd"; readonly endpoints: readonly string[] };

export interface House {
  readonly project: string;
  readonly network: string;
  readonly adminToken: string;
  readonly agentToken: string;
  readonly ground: Ground;
  readonly history: string;
  readonly machines: readonly MachineDesired[];
  start(): Promise<Killable>;
  /** Opens the store while no central lives. */
  look<T>(see: (state: State) => T | Promise<T>): Promise<T>;
  remove(): void;
}

export async function houseOver(kept: Kept): Promise<House> {
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-crash-"));
  const program = await bundled(path.join(import.meta.dirname, "central-main.ts"));
  const open = () => openStore({ store: storeOf(kept, path.join(folder, "store")) }, log);
  const look = <T>(see: (state: State) => T | Promise<T>) => withState(open, see);
  const { project, network } = await withStore(open, furnished);
  const tokens = await look(async (state) => {
    const identity = await openIdentity({ state, clock, random, newSigningKey, provider, issuer });
    const admin = await furtherAdminToken({ state, identity, clock, provider }, { user, lifetimeMs: dayMs });
    const agent = await issueAgentToken(identity, "lab");
    return { adminToken: admin.secret.reveal(), agentToken: agent.secret.reveal() };
  });
  const words = wordsOf(kept, folder);
  // What a first start writes is of its own.
  await (await Killable.started(program, words)).kill();
  const found = await look((state) => ({
    ground: groundOf(state),
    history: state.history,
    machines: state.list(kinds.machineDesired).map(({ value }) => value),
  }));
  return {
    ...{ project, network, ...tokens, ...found, look },
    start: () => Killable.started(program, words),
    remove: () => clear(folder, program),
  };
}

function clear(folder: string, program: Program): void {
  program.remove();
  rmSync(folder, { recursive: true });
}

function wordsOf(kept: Kept, folder: string): string[] {
  const token = `--adminTokenFile=${path.join(folder, "admin-token")}`;
  if (kept.kind === "embedded") return [token, `--store.folder=${path.join(folder, "store")}`];
  return [token, "--store.kind=etcd", `--store.endpoints=${kept.endpoints.join(",")}`];
}

function storeOf(kept: Kept, folder: string) {
  const endpoints = kept.kind === "etcd" ? [...kept.endpoints] : [];
  const none = { caFile: undefined, certFile: undefined, keyFile: undefined, user: undefined, passwordFile: undefined };
  return { ...none, kind: kept.kind, folder, endpoints };
}

async function withStore<T>(open: () => Promise<Store>, use: (store: Store) => Promise<T>): Promise<T> {
  const store = await open();
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

const withState = <T>(open: () => Promise<Store>, see: (state: State) => T | Promise<T>): Promise<T> =>
  withStore(open, async (store) => {
    const stop = new AbortController();
    const state = await openState({ store, clock, random, log }, stop.signal);
    try {
      return await see(state);
    } finally {
      stop.abort();
      await state.close();
    }
  });

async function furnished(store: Store): Promise<{ readonly project: string; readonly network: string }> {
  const central = await wholeCentral({ store, clock: new VirtualClock(Date.now()) });
  try {
    await central.waiting(2);
    return { project: central.project, network: central.network };
  } finally {
    await central.close();
  }
}
