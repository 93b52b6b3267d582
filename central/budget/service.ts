// holdfast.api.v1.BudgetService: what partitions may give away by themselves.
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { addressesIn, isEmpty, noItems, withItems } from "#domain/budget/items.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { newMeta, touched } from "#domain/meta.ts";
import { isChild, isSuper } from "#domain/network/rules.ts";
import { BudgetService, type BudgetView, BudgetViewSchema, type GrantRequest } from "#gen/holdfast/api/v1/budget_pb.ts";
import { type Budget, BudgetSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { ReleaseSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type Network, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { unknown, usable } from "../catalog/catalog.ts";
import { causeOf } from "../history/cause.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { usableNetwork } from "./delegated.ts";
import { doubt } from "./doubt.ts";
import { BudgetKeeper, type BudgetPorts } from "./keeper.ts";

/** Budgets of one installation. */
const budgetsMax = 1_000;

export function budgetService(ports: BudgetPorts): Implementation {
  const { state, clock, random } = ports;
  const keeper = new BudgetKeeper(ports);
  const change = async (context: HandlerContext, id: string, edit: (draft: Budget, tx: Tx) => void) => {
    await state.transact((tx) => {
      const draft = copyOf(tx.get(kinds.budget, id) ?? unknown("budget", id));
      edit(draft, tx);
      draft.meta = touched(draft.meta, clock.wallMs());
      tx.put(kinds.budget, id, draft);
    }, causeOf(context));
    return await settled(id);
  };
  const settled = async (id: string): Promise<BudgetView | undefined> => {
    await keeper.settle(id);
    await keeper.tellAccess();
    const budget = state.get(kinds.budget, id)?.value;
    return budget && viewOf(state, budget);
  };

  return implement(BudgetService, {
    async grant(request, context) {
      const id = random.uuid();
      await state.transact((tx) => {
        const budget = newBudget(tx, request, { id, nowMs: clock.wallMs() });
        tx.put(kinds.budget, id, budget);
        keepAnswer(context, tx, { budget: viewOf(state, budget) });
      }, causeOf(context));
      const budget = await settled(id);
      return budget ? { budget } : {};
    },
    list: ({ partition, project }) => ({
      budgets: state
        .list(kinds.budget, (b) => (partition ?? b.partition) === b.partition && (project ?? b.project) === b.project)
        .map(({ value }) => viewOf(state, value)),
    }),
    async resize({ id, machines, addresses, networks }, context) {
      const budget = await change(context, id, (draft) => {
        if (draft.revoked)
          throw new Refusal("precondition", `budget ${id} is revoked: grant another one`, { reason: "REVOKED" });
        draft.machinesWanted = machines;
        draft.addressesWanted = addresses;
        draft.networksWanted = networks ?? draft.networksWanted;
        checkParent(draft);
      });
      return budget ? { budget } : {};
    },
    async revoke({ id, force }, context) {
      const budget = await change(context, id, (draft, tx) =>
        revoke(tx, draft, { force, state, nowMs: clock.wallMs() }),
      );
      return budget ? { budget } : {};
    },
  });
}

function newBudget(
  tx: Tx,
  wanted: GrantRequest,
  { id, nowMs }: { readonly id: string; readonly nowMs: number },
): Budget {
  const { partition, project, size, machines, addresses, networks, network = "", parentNetwork = "" } = wanted;
  usable(tx, kinds.partition, partition, "partition");
  usable(tx, kinds.project, project, "project");
  usable(tx, kinds.size, size, "size");
  if (network !== "") checkHome(usableNetwork(tx, network), wanted);
  if (parentNetwork !== "") checkSuper(usable(tx, kinds.network, parentNetwork, "network"), wanted);
  if (network === "" && parentNetwork === "") {
    const text = "a private network, or a super network that some are delegated of, is wanted";
    throw new Refusal("invalid", text, { field: "network" });
  }
  if (machines === 0 && addresses === 0 && networks === 0) {
    throw new Refusal("invalid", "a budget of no machine, no address and no network is none", { field: "machines" });
  }
  if (tx.list(kinds.budget).length >= budgetsMax) {
    throw new Refusal("exhausted", `there are ${budgetsMax} budgets already: revoke some`, { reason: "BUDGETS_MAX" });
  }
  const budget = create(BudgetSchema, {
    ...{ id, meta: newMeta(undefined, nowMs), partition, project, size, network, parentNetwork },
    ...{ machinesWanted: machines, addressesWanted: addresses, networksWanted: networks },
    ...{ free: noItems(), recalled: noItems() },
  });
  checkParent(budget);
  return budget;
}

function checkHome(home: Network, { partition, project }: GrantRequest): void {
  if (!isChild(home) || (home.project !== project && home.type !== NetworkType.CHILD_SHARED)) {
    throw new Refusal("invalid", `network ${home.id} is no private network of project ${project}`, {
      field: "network",
    });
  }
  checkPlace(home, partition, "network");
}

function checkSuper(parent: Network, { partition }: GrantRequest): void {
  if (!isSuper(parent))
    throw new Refusal("invalid", `network ${parent.id} is no super network`, { field: "parent_network" });
  checkPlace(parent, partition, "parent_network");
}

function checkPlace(network: Network, partition: string, field: string): void {
  if ((network.partition ?? partition) === partition) return;
  throw new Refusal("invalid", `network ${network.id} is in partition ${network.partition}`, { field });
}

function checkParent({ networksWanted, parentNetwork }: Budget): void {
  if (networksWanted === 0 || parentNetwork !== "") return;
  throw new Refusal("invalid", "networks are cut out of a super network: the budget has none", {
    field: "parent_network",
  });
}

interface Revoking {
  readonly force: boolean;
  readonly state: State;
  readonly nowMs: number;
}

/** @throws Refusal "precondition" when nobody can say what is used of it, and force was not asked for */
function revoke(tx: Tx, draft: Budget, { force, state, nowMs }: Revoking): void {
  const why = doubt(state, draft);
  if (why !== undefined && !force)
    throw new Refusal("precondition", `budget ${draft.id}: ${why}`, { reason: "BUDGET_IN_DOUBT" });
  draft.revoked = true;
  // An agent that knows what it gave away says so, however long that takes.
  if (why === undefined) return;
  draft.recalled = withItems(draft.recalled ?? noItems(), draft.free ?? noItems());
  draft.free = noItems();
  draft.outbox = "";
  for (const uuid of draft.recalled.machines) {
    const desired = tx.get(kinds.machineDesired, uuid);
    if (desired?.delegated?.budget !== draft.id) continue;
    const next = copyOf(desired);
    next.epoch = nextEpoch(desired, state.get(kinds.machineObserved, uuid)?.value);
    next.meta = touched(desired.meta, nowMs);
    delete next.delegated;
    // Like one that was given back: nobody gets it before its port was seen isolated.
    next.release = create(ReleaseSchema, { epoch: next.epoch, project: draft.project });
    tx.put(kinds.machineDesired, uuid, next);
  }
}

const viewOf = (state: State, budget: Budget): BudgetView =>
  create(BudgetViewSchema, { budget, problem: problemOf(state, budget) });

function problemOf(state: State, budget: Budget): string {
  const { partition, project, recalled = noItems(), revoked } = budget;
  const why = doubt(state, budget);
  if (why !== undefined) return why;
  if (!isEmpty(recalled)) return "some of it is recalled, and its agent has not yet said that it does not use that";
  if (revoked) return "it is revoked";
  if (!state.get(kinds.reportCursor, partition)) return `the agent of partition ${partition} has never reported`;
  const short = missing(budget).flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : []));
  if (short.length === 0) return "";
  const orQuota = state.get(kinds.quota, project) ? `, or the quota of project ${project} allows no more` : "";
  return `${short.join(" and ")} are missing: none are free now${orQuota}`;
}

function missing(budget: Budget): [number, string][] {
  const { network, free = noItems(), machinesWanted, addressesWanted, networksWanted } = budget;
  const of = (id: string) => addressesWanted - addressesIn(id, budget, free).length;
  return [
    [machinesWanted - free.machines.length, "machines"],
    [network === "" ? 0 : of(network), "addresses"],
    [networksWanted - free.networks.length, "networks"],
    ...free.networks.map((id): [number, string] => [of(id), `addresses of network ${id}`]),
  ];
}
