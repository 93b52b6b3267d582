// What the agent holds back since central was restored, told and accepted in the datacenter itself.
import { HistoryHoldSchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { type Cli, note, say } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { OutputFlags } from "../flags.ts";
import { holdText } from "../partition/hold.ts";
import { shownText } from "../view/output.ts";
import { type SiteFlags, withSite } from "./with-site.ts";

export async function siteHistory(this: Cli, flags: SiteFlags & OutputFlags): Promise<void> {
  const { status } = await withSite(this, flags, (site) => site.getStatus({}));
  const hold = status?.historyHold;
  if (!hold) return say(this, "the agent holds nothing back\n");
  say(
    this,
    shownText(HistoryHoldSchema, hold, flags.output, () => holdText(hold, this.clock.wallMs())),
  );
  note(this, `to let the agent act on it: holdfast site accept-history ${hold.held}`);
}

export async function siteAcceptHistory(this: Cli, flags: SiteFlags, history: string): Promise<void> {
  if (history === "") throw new Failure("a history is wanted, as `holdfast site history` shows it");
  await withSite(this, flags, (site) => site.acceptHistory({ history }));
  say(this, `the agent acts on history ${history} from now on\n`);
}
