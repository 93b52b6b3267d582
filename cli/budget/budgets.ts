// Budgets: what a partition may give away by itself.
import { BudgetService, type BudgetView, BudgetViewSchema } from "#gen/holdfast/api/v1/budget_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { listText } from "../view/output.ts";
import type { Column } from "../view/table.ts";

interface Amounts {
  readonly machines: number;
  readonly addresses: number;
}

export type GrantFlags = ConnectFlags &
  OutputFlags &
  Amounts & {
    readonly partition: string;
    readonly project: string;
    readonly size: string;
    readonly network?: string | undefined;
    readonly networks: number;
    readonly parent?: string | undefined;
  };

export async function grantBudget(this: Cli, flags: GrantFlags): Promise<void> {
  const { partition, project, size, network, machines, addresses, networks, parent } = flags;
  await withApi(this, flags, async (api) => {
    const homes = { ...(network !== undefined && { network }), ...(parent !== undefined && { parentNetwork: parent }) };
    const wanted = { partition, project, size, machines, addresses, networks, ...homes };
    const { budget } = await api.client(BudgetService).grant(wanted);
    say(this, shownText(budget ? [budget] : [], flags));
  });
}

export type ListFlags = ConnectFlags &
  OutputFlags & { readonly partition?: string | undefined; readonly project?: string | undefined };

export async function listBudgets(this: Cli, flags: ListFlags): Promise<void> {
  const { partition, project } = flags;
  await withApi(this, flags, async (api) => {
    const query = { ...(partition !== undefined && { partition }), ...(project !== undefined && { project }) };
    say(this, shownText((await api.client(BudgetService).list(query)).budgets, flags));
  });
}

export type ResizeFlags = ConnectFlags & OutputFlags & Amounts & { readonly networks?: number | undefined };

export async function resizeBudget(this: Cli, flags: ResizeFlags, id: string): Promise<void> {
  const { machines, addresses, networks } = flags;
  await withApi(this, flags, async (api) => {
    const { budget } = await api.client(BudgetService).resize({
      ...{ id, machines, addresses },
      ...(networks !== undefined && { networks }),
    });
    say(this, shownText(budget ? [budget] : [], flags));
  });
}

export async function revokeBudget(
  this: Cli,
  flags: ConnectFlags & { readonly force: boolean },
  id: string,
): Promise<void> {
  await withApi(this, flags, async (api) => {
    const { budget } = await api.client(BudgetService).revoke({ id, force: flags.force });
    say(this, budget ? `budget ${id} is revoked: ${budget.problem}\n` : `budget ${id} is gone\n`);
  });
}

const shownText = (budgets: readonly BudgetView[], { output }: OutputFlags): string =>
  listText(BudgetViewSchema, columns, budgets, output);

const columns: readonly Column<BudgetView>[] = [
  { title: "ID", of: ({ budget }) => budget?.id ?? "" },
  { title: "PARTITION", of: ({ budget }) => budget?.partition ?? "" },
  { title: "PROJECT", of: ({ budget }) => budget?.project ?? "" },
  { title: "SIZE", of: ({ budget }) => budget?.size ?? "" },
  { title: "MACHINES", of: ({ budget }) => `${budget?.free?.machines.length ?? 0}/${budget?.machinesWanted ?? 0}` },
  { title: "ADDRESSES", of: ({ budget }) => `${budget?.free?.addresses.length ?? 0}/${budget?.addressesWanted ?? 0}` },
  { title: "NETWORKS", of: ({ budget }) => `${budget?.free?.networks.length ?? 0}/${budget?.networksWanted ?? 0}` },
  { title: "PROBLEM", of: ({ problem }) => problem },
];
