// All of central, composed as it is shipped, with machines in it.

import { dayMs } from "#lib/durations.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import type { VirtualClock } from "#lib/virtual-clock.ts";
import { composeCentral } from "../central.ts";
import { Authority } from "../join/authority.ts";
import type { Retention } from "../store/retention.ts";
import type { State } from "../store/state.ts";
import type { Store } from "../store/store.ts";
import { testCentral } from "./central.ts";
import { type CentralWithMachines, withMachines } from "./machines.ts";

export interface WholeOptions {
  readonly log?: Log;
  /** One in memory unless given; it stays open. */
  readonly store?: Store;
  readonly random?: Random;
  readonly clock?: VirtualClock;
  /** Given: calls are written down. */
  readonly retention?: Retention;
  /** May stand before the state that services are given. */
  readonly watch?: (state: State) => State;
}

/** Every service that central serves, each as `composeCentral` makes it. */
export async function wholeCentral({
  retention,
  watch = (state) => state,
  ...options
}: WholeOptions = {}): Promise<CentralWithMachines> {
  const central = await testCentral(undefined, {
    ...options,
    async compose(ports) {
      const authority = await Authority.open({ ...ports, keys });
      const join = { authority, keys, shown: () => authority.certificate, certificateMs: 30 * dayMs };
      return composeCentral({ ...ports, state: watch(ports.state), join, ...(retention && { audit: { retention } }) });
    },
  });
  return await withMachines(central);
}
