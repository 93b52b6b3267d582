// A machine that falls silent says nothing: in partitions without an agent somebody has to look.
import { livelinessNow } from "#domain/machine/liveliness.ts";
import type { MachineView } from "#domain/machine/placement.ts";
import { byCentral } from "../history/cause.ts";
import { viewsOfPartition } from "../machine/views.ts";
import { kinds } from "../store/kinds.ts";
import { type BootPorts, hasAgent, observe } from "./observe.ts";

/** How often it is looked for machines that have fallen silent. */
const lookMs = 30_000;

/** Writes down of the machines that speak to central which of them do so no more, until the signal. */
export async function keepLiveliness(ports: BootPorts, signal: AbortSignal): Promise<void> {
  const { state, clock, log } = ports;
  let listeningSinceMs = clock.wallMs();
  while (!signal.aborted) {
    // What is said while the store is away is refused: it may have been said all the same.
    if (state.away !== undefined) listeningSinceMs = clock.wallMs();
    try {
      for (const { desired } of silent(ports, listeningSinceMs)) {
        if (signal.aborted) return;
        await observe(ports, desired.uuid, byCentral("nothing was heard of it"), (m, wanted) => {
          m.liveliness = livelinessNow(m, { desired: wanted, nowMs: clock.wallMs(), listeningSinceMs });
        });
        log.info("machine-silent", { machine: desired.uuid });
      }
    } catch (error) {
      // The store is away, an agent has come or a machine has gone: the next look sees to the rest.
      log.warn("liveliness-not-kept", { error });
    }
    await clock.sleep(lookMs, signal).catch(() => undefined);
  }
}

function silent({ state, clock }: BootPorts, listeningSinceMs: number): readonly MachineView[] {
  const nowMs = clock.wallMs();
  return state
    .list(kinds.partition)
    .filter(({ id }) => !hasAgent(state, id))
    .flatMap(({ id }) => viewsOfPartition(state, id))
    .filter(
      ({ desired, observed }) =>
        observed && livelinessNow(observed, { desired, nowMs, listeningSinceMs }) !== observed.liveliness,
    );
}
