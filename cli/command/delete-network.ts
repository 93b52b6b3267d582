import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { ScopeFlags } from "../flags.ts";
import { dryRun, type PlanFlags, planned } from "./plan.ts";

/** A project's own network, or any as administrator. */
export async function deleteNetwork(this: Cli, flags: ScopeFlags & PlanFlags, id: string): Promise<void> {
  await withApi(this, flags, async (api, target) => {
    if (flags.admin) {
      if (flags.dryRun) return dryRun(this, api, { case: "deleteAnyNetwork", value: { id } });
      await api.client(AdminNetworkService).delete({ id }, planned(flags));
      return say(this, `${id}\n`);
    }
    const project = flags.project ?? target.project;
    if (project === undefined) throw new Failure("--project is needed, or --admin", 2);
    const value = { id, project };
    if (flags.dryRun) return dryRun(this, api, { case: "deleteNetwork", value });
    await api.client(NetworkService).delete(value, planned(flags));
    say(this, `${id}\n`);
  });
}
