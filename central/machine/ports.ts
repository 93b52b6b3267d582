import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import type { State } from "../store/state.ts";
import type { CentralSession } from "../sync/central-session.ts";
import type { Connections } from "../sync/connections.ts";

/** What the machine services are made of. */
export interface MachinePorts {
  readonly state: State;
  readonly connections: Connections;
  readonly clock: Clock;
  readonly random: Random;
  /** Absent: no other central shares the store. */
  readonly session?: Pick<CentralSession, "seat">;
}
