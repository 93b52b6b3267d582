import { create } from "@bufbuild/protobuf";
import { ChangeHorizonSchema } from "#gen/holdfast/state/v1/change_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { kinds } from "../store/kinds.ts";
import type { Retention } from "../store/retention.ts";
import type { State } from "../store/state.ts";
import { bytesKept, horizonAfter, horizonId, horizonOf, outlived } from "./retention.ts";

interface Ports {
  readonly state: State;
  readonly clock: Clock;
  readonly log: Log;
}

/** How often it is looked for too many bytes. */
const lookMs = 10_000;
/** How often it is looked for what is too old. */
const outlivedMs = 600_000;
/** One commit's: there is room for the horizon beside them. */
const deletesMax = 120;

/** Says from when on changes are held, and takes away what has been kept long enough, until the signal aborts. */
export async function keepChanges(ports: Ports, retention: Retention, signal: AbortSignal): Promise<void> {
  const { state, clock, log } = ports;
  state.fold(bytesKept);
  let lookedMs = Number.NEGATIVE_INFINITY;
  while (!signal.aborted) {
    const nowMs = clock.monotonicMs();
    try {
      if (horizonOf(state) === undefined) await begin(ports);
      else if (state.folded(bytesKept, "") > retention.bytesMax || nowMs - lookedMs >= outlivedMs) {
        lookedMs = nowMs;
        await prune(ports, retention, signal);
      }
    } catch (error) {
      log.warn("changes-not-pruned", { error });
    }
    await clock.sleep(lookMs, signal).catch(() => undefined);
  }
}

/** The first of this version: what others have changed before was not recorded. */
async function begin({ state, clock }: Ports): Promise<void> {
  await state.transact((tx) => {
    if (tx.get(kinds.changeHorizon, horizonId) !== undefined) return;
    const now = { revision: state.revision, atMs: BigInt(clock.wallMs()) };
    tx.put(kinds.changeHorizon, horizonId, create(ChangeHorizonSchema, now));
  });
}

async function prune({ state, clock }: Ports, retention: Retention, signal: AbortSignal): Promise<void> {
  const gone = outlived(state.list(kinds.change), retention, clock.wallMs());
  for (let at = 0; at < gone.length && !signal.aborted; at += deletesMax) {
    const group = gone.slice(at, at + deletesMax);
    await state.transact((tx) => {
      const before = tx.get(kinds.changeHorizon, horizonId) ?? create(ChangeHorizonSchema);
      tx.put(kinds.changeHorizon, horizonId, horizonAfter(before, group));
      for (const { id } of group) tx.delete(kinds.change, id);
    });
  }
}
