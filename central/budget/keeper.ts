// Keeps every budget as it is wanted, and tells the partitions that have one who may use it.
import { create, equals } from "@bufbuild/protobuf";
import { SiteAccessSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { byCentral } from "../history/cause.ts";
import type { Identity } from "../identity/identity.ts";
import { machineIndexes } from "../machine/indexes.ts";
import { spaces } from "../network/spaces.ts";
import { quotaKeeper, quotaLeft } from "../quota/keep-quota.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { stepBudget } from "./step.ts";

/** Between two looks: so long may a partition take a token for good that was revoked, or not yet know one that was made. */
const keepEveryMs = 30_000;
/** Steps of one budget in one look. */
const stepsMax = 16;

export interface BudgetPorts {
  readonly state: State;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class BudgetKeeper {
  readonly #ports: BudgetPorts;

  constructor(ports: BudgetPorts) {
    this.#ports = ports;
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { state, clock, log } = this.#ports;
    let trouble = "";
    while (!signal.aborted) {
      try {
        for (const { id } of state.list(kinds.budget)) await this.settle(id);
        await this.tellAccess();
        trouble = "";
      } catch (error) {
        // The store is away, or too busy: what was not done is done at the next look.
        if (reasonOf(error) !== trouble) log.warn("budgets-not-kept", { error });
        trouble = reasonOf(error);
      }
      await clock.sleep(keepEveryMs, signal).catch(() => {});
    }
  }

  /** Brings one budget as near to what is wanted as it can be now. */
  async settle(id: string): Promise<void> {
    const { state, random, clock } = this.#ports;
    const [indexes, seed] = [machineIndexes(state), random.below(2 ** 31)];
    for (let i = 0; i < stepsMax; i++) {
      const ports = {
        state,
        indexes,
        spaces: spaces(state),
        random,
        seed,
        nowMs: clock.wallMs(),
        keepQuota: quotaKeeper(state),
        quotaLeft: quotaLeft(state),
      };
      const { result: isMore } = await state.transact((tx) => stepBudget(tx, id, ports), byCentral(`budget ${id}`));
      if (!isMore) return;
    }
  }

  /** Writes only what has changed. */
  async tellAccess(): Promise<void> {
    const { state, identity } = this.#ports;
    const wanted = new Map(
      state
        .list(kinds.budget)
        .map(({ value: { partition, project } }) => [`${partition}/${project}`, { partition, project }]),
    );
    for (const [id, of] of wanted) {
      const access = create(SiteAccessSchema, { ...of, ...identity.accessTo(of.project) });
      const known = state.get(kinds.siteAccess, id)?.value;
      if (known && equals(SiteAccessSchema, known, access)) continue;
      await state.transact((tx) => tx.put(kinds.siteAccess, id, access));
    }
    for (const { id } of state.list(kinds.siteAccess))
      if (!wanted.has(id)) await state.transact((tx) => tx.delete(kinds.siteAccess, id));
  }
}
