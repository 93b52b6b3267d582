import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import type { State } from "../store/state.ts";
import type { CentralSession } from "../sync/central-session.ts";
import type { UrlProbe } from "./url.ts";

/** What the services ask of the world. */
export interface ServicePorts {
  readonly state: State;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Absent: no other central shares the store. */
  readonly session?: Pick<CentralSession, "seat">;
  /** Absent: URLs are taken as they are. */
  readonly probeUrl?: UrlProbe;
}
