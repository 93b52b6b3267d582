import { SwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import type { ConnectFlags } from "../flags.ts";
import { dryRun, type PlanFlags, planned } from "./plan.ts";

export async function migrateSwitch(
  this: Cli,
  flags: ConnectFlags & PlanFlags,
  from: string,
  to: string,
): Promise<void> {
  await withApi(this, flags, async (api) => {
    const value = { oldSwitch: from, newSwitch: to };
    if (flags.dryRun) return dryRun(this, api, { case: "migrateSwitch", value });
    await api.client(SwitchService).migrate(value, planned(flags));
    say(this, `${to}\n`);
  });
}
