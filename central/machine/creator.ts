import { resolveCreate } from "#domain/machine/create.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineServiceCreateRequest } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import { announced } from "../catalog/announce.ts";
import type { Cause } from "../history/cause.ts";
import { alone, searcher } from "../network/search.ts";
import { spaces } from "../network/spaces.ts";
import { seeds } from "../plan/hash.ts";
import { quotaKeeper } from "../quota/keep-quota.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import type { CentralSession } from "../sync/central-session.ts";
import { allocate } from "./allocate.ts";
import { createReads } from "./create-reads.ts";
import { machineIndexes } from "./indexes.ts";
import { nameAnnouncement, takeName } from "./unique-name.ts";

export interface CreateBy {
  /** Whose machine it is to be. */
  readonly cause: Cause;
  /** Writes that belong to the creation. */
  readonly keep: (tx: Tx, made: MachineDesired) => void;
  /** Whether no other machine of the project may have its name. */
  readonly isNameUnique?: boolean;
}

/** Gives machines away, each in one commit that is chosen and checked anew after a lost race. */
export function creator(ports: {
  readonly state: State;
  readonly clock: Clock;
  readonly random: Random;
  readonly session?: Pick<CentralSession, "seat">;
}): (request: MachineServiceCreateRequest, by: CreateBy) => Promise<MachineDesired> {
  const { state, clock, random, session } = ports;
  const indexes = machineIndexes(state);
  const searching = searcher(random, session);
  const keepQuota = quotaKeeper(state);
  return async (request, { cause, keep, isNameUnique = false }) => {
    const nowMs = clock.wallMs();
    const attempt = {
      user: cause.actor,
      nowMs,
      allocation: random.uuid(),
      newUuid: () => random.uuid(),
      seed: cause.plan?.seed ?? random.below(seeds),
      peek: state,
      indexes,
      spaces: spaces(state),
      explain: (why: () => string) => {
        if (cause.plan?.kind === "rehearsal") cause.plan.explain(why());
      },
    };
    const { project, name } = request;
    const naming = { project, name, allocation: attempt.allocation, isUnique: isNameUnique };
    const give = async () => {
      const { result } = await searching((next) =>
        state.transact((tx) => {
          const resolved = resolveCreate(createReads(tx), request, nowMs);
          takeName(tx, indexes, naming);
          // One that was planned wants this very machine and these addresses, whoever else is about to take them.
          const search = cause.plan ? alone : next();
          const made = allocate(tx, request, resolved, { ...attempt, search });
          keepQuota(tx, project);
          keep(tx, made);
          return made;
        }, cause),
      );
      return result;
    };
    return isNameUnique ? announced(state, cause, nameAnnouncement(indexes, naming), give) : give();
  };
}
