import type { State } from "#central/store/state.ts";
import type { LocalMachine, LocalNetwork } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
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
  /** Since when the agent of the partition is up and does not stand still, virtual milliseconds; undefined while it is not. */
  readonly awakeSinceMs: (partition: string) => number | undefined;
  /** What the agent of the partition has seen of a machine; undefined also when no agent lives there. */
  readonly observed: (partition: string, uuid: string) => MachineObserved | undefined;
  /** History of central's store that the agent of the partition acts on; undefined when no agent lives there. */
  readonly historyOf: (partition: string) => string | undefined;
  /** What agents that live gave away by themselves, and central has not adopted. */
  readonly locals: () => readonly LocalMachine[];
  /** The same of networks that they made. */
  readonly localNetworks: () => readonly LocalNetwork[];
}

/** What central's store is about to become again. */
export interface StoreCopy {
  readonly machine: (uuid: string) => MachineDesired | undefined;
  /** @param thing by its name in deletions.ts */
  readonly has: (thing: string) => boolean;
}
