// That this central is there, for the others that share its store: what it has claimed is void without it.
import { create } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import { onlySeat, type Seat } from "../seat.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** A session that is not renewed for so long is gone: its central has died, or has lost its store. */
const ttlMs = 30_000;
/** Asked for every 10 s by each connected agent, it is written this often, however many they are. */
const renewEveryMs = 5_000;

export interface SessionPorts {
  readonly state: State;
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
}

/** Kept alive by those who ask for it, so that a central without agents writes nothing. */
export class CentralSession {
  readonly id: string;
  readonly #ports: SessionPorts;
  #renewedMs = Number.NEGATIVE_INFINITY;
  #renewing: Promise<void> | undefined;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    this.id = ports.random.uuid();
  }

  /**
   * Resolves when the session is there for the next while.
   * @throws Refusal "unavailable" when the store cannot be asked
   */
  hold(): Promise<void> {
    const { state, clock } = this.#ports;
    const isFresh = clock.monotonicMs() - this.#renewedMs < renewEveryMs;
    // A store that was restored may have lost it.
    if (isFresh && state.get(kinds.centralSession, this.id)) return Promise.resolve();
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** Among the centrals that are there; that this one is asks for its session, for which nobody here waits. */
  seat(): Seat {
    void this.hold().catch(() => undefined);
    const ids = this.#ports.state.list(kinds.centralSession).map(({ id }) => id);
    const at = ids.indexOf(this.id);
    return at < 0 ? onlySeat : { at, of: ids.length };
  }

  async #renew(): Promise<void> {
    const { state, clock, version } = this.#ports;
    const beganMs = clock.monotonicMs();
    await state.transact((tx) =>
      tx.put(kinds.centralSession, this.id, create(StringValueSchema, { value: version }), { ttlMs }),
    );
    this.#renewedMs = beganMs;
  }
}
