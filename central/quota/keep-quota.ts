// That no project gets more than its quota, however many create for it at once, at however many centrals. A creation reads the quota,
// so one that is set meanwhile counts; and where there is one, all creations for that project take turns, so each has seen what the
// others made. Projects without a quota have no turn to wait for.
import { type Amounts, type Limited, limited, overQuota } from "#domain/project/quota.ts";
import { Refusal } from "#lib/refusal.ts";
import { claimTurn, turnOf, unclaim } from "../catalog/claim.ts";
import type { Fold, Row } from "../store/cache.ts";
import { type Kind, kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

/** What projects have, counted as it comes and goes. Groups: uuids of projects. */
interface Counts {
  readonly machines: Fold<typeof kinds.machineDesired, number, number>;
  readonly ips: Fold<typeof kinds.ip, number, number>;
  readonly networks: Fold<typeof kinds.network, number, number>;
}

type Folded = Pick<Tx, "folded">;

const countsOf = (state: Pick<State, "fold">): Counts => ({
  // What is delegated for a project is its own already: its partition may give it away at any time.
  machines: state.fold(
    count(kinds.machineDesired, ({ value }) => value.allocation?.project ?? value.delegated?.project),
  ),
  ips: state.fold(count(kinds.ip, ({ value }) => value.project)),
  networks: state.fold(count(kinds.network, ({ value }) => value.project)),
});

const count = <K extends Kind>(kind: K, ownerOf: (row: Row<K>) => string | undefined): Fold<K, number, number> => ({
  kind,
  name: "count-by-project",
  partsOf(row) {
    const group = ownerOf(row);
    return group === undefined || group === "" ? [] : [{ group, part: 1 }];
  },
  none: () => 0,
  with: (sum, part) => sum + part,
  without: (sum, part) => sum - part,
});

const amounts = (from: Folded, counts: Counts, project: string): Amounts => ({
  machines: from.folded(counts.machines, project),
  ips: from.folded(counts.ips, project),
  networks: from.folded(counts.networks, project),
});

/** What a project has now. */
export function usedBy(state: State): (project: string) => Amounts {
  const counts = countsOf(state);
  return (project) => amounts(state, counts, project);
}

/** To be called at the end of every transaction that gives a project something. @param yetToPut what is not in the transaction yet */
export type KeepQuota = (tx: Tx, project: string, yetToPut?: Partial<Amounts>) => void;

/** What it gives throws Refusal "exhausted", with the figures. */
export function quotaKeeper(state: State): KeepQuota {
  const counts = countsOf(state);
  return (tx, project, yetToPut = {}) => {
    const quota = tx.get(kinds.quota, project);
    if (quota === undefined) return;
    claimTurn(tx, turn(project));
    const before = amounts(state, counts, project);
    const put = amounts(tx, counts, project);
    const after = Object.fromEntries(limited.map((what) => [what, put[what] + (yetToPut[what] ?? 0)])) as Amounts; // of all that is limited
    const why = overQuota(quota.limits, before, after);
    if (why === undefined) return;
    throw new Refusal("exhausted", `project ${project} can have no more: ${why}`, {
      reason: "QUOTA_EXCEEDED",
      field: "project",
    });
  };
}

/** How many more of something a project may have. */
export type QuotaLeft = (tx: Tx, project: string, what: Limited) => number;

/** For what takes as much as there is: to be called before each taking, and `KeepQuota` at the end. */
export function quotaLeft(state: State): QuotaLeft {
  const counts = countsOf(state);
  return (tx, project, what) => {
    const limit = tx.get(kinds.quota, project)?.limits?.[what] ?? Infinity;
    return Math.max(0, limit - tx.folded<Kind, number, number>(counts[what], project));
  };
}

const turn = (project: string): string => `quota/${project}`;

/** With its project a quota goes, and whose turn it was. */
export function forgetQuota(tx: Tx, project: string): void {
  tx.delete(kinds.quota, project);
  unclaim(tx, turnOf(turn(project)));
}
