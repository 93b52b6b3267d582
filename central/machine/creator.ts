import { resolveCreate } from "#domain/machine/create.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import type { Cause } from "../history/cause.ts";
import { searcher } from "../network/search.ts";
import { spaces } from "../network/spaces.ts";
import { quotaKeeper } from "../quota/keep-quota.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { allocate } from "./allocate.ts";
import { createReads } from "./create-reads.ts";
import { machineIndexes } from "./indexes.ts";

export interface CreateBy {
  /** Whose machine it is to be. */
  readonly cause: Cause;
  /** Writes that belong to the creation. */
  readonly keep: (tx: Tx, made: MachineDesired) => void;
}

/** Gives machines away, each in one commit that is chosen and checked anew after a lost race. */
export function creator(ports: {
  readonly state: State;
  readonly clock: Clock;
  readonly random: Random;
}): (request: MachineServiceCreateRequest, by: CreateBy) => Promise<MachineDesired> {
  const { state, clock, random } = ports;
  const indexes = machineIndexes(state);
  const searching = searcher(random);
  const keepQuota = quotaKeeper(state);
  return async (request, { cause, keep }) => {
    const nowMs = clock.wallMs();
    const attempt = {
      user: cause.actor,
      nowMs,
      allocation: random.uuid(),
      newUuid: () => random.uuid(),
      seed: random.below(2 ** 31),
      peek: state,
      indexes,
      spaces: spaces(state),
    };
    const { result } = await searching((next) =>
      state.transact((tx) => {
        const resolved = resolveCreate(createReads(tx), request, nowMs);
        const made = allocate(tx, request, resolved, { ...attempt, search: next() });
        keepQuota(tx, request.project);
        keep(tx, made);
        return made;
      }, cause),
    );
    return result;
  };
}
