import type { State } from "#central/store/state.ts";
import type { LocalMachine, LocalNetwork } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { SimServer } from "./server.ts";

/** What the invariants are checked on. */
export interface Seen {
  /** What central's store holds, whoever is alive. */
  readonly truth: State;
  readonly servers: readonly SimServer[];
  /** That the agent may hand out. */
  readonly addresses: readonly string[];
  readonly networkOf: (server: SimServer) => string;
  readonly nowMs: () => number;
  /** What agents that live gave away by themselves, and central has not adopted. */
  readonly locals: () => readonly LocalMachine[];
  /** The same of networks that they made. */
  readonly localNetworks: () => readonly LocalNetwork[];
}
