import { MachineService, type ReinstallResponse } from "#gen/holdfast/api/v1/machine_pb.ts";
import { type Api, type Cli, note, say, withApi } from "../cli.ts";
import type { ScopeFlags, WaitFlags } from "../flags.ts";
import { durationText } from "../view/time.ts";
import { projectWanted } from "./delete.ts";
import { eventMs, newestEvent } from "./events.ts";
import { reinstalled } from "./verdict.ts";
import { waitFor } from "./wait.ts";

export type ReinstallFlags = ScopeFlags &
  WaitFlags & { readonly image?: string | undefined; readonly dryRun?: boolean | undefined };

/** Another operating system on the same machine: its allocation and its other disks stay. */
export async function reinstallMachine(this: Cli, flags: ReinstallFlags, uuid: string): Promise<void> {
  await withApi(this, flags, async (api, target) => {
    const project = await projectWanted(api, flags, target.project, uuid);
    const { image, dryRun = false } = flags;
    const order = { uuid, project, dryRun, ...(image !== undefined && { image }) };
    const told = await api.client(MachineService).reinstall(order);
    note(
      this,
      `${dryRun ? "would be " : ""}reinstalled with ${told.machine?.allocation?.image?.id}: ${disksText(told)}`,
    );
    if (flags.wait && !dryRun) await waitUntilHome(this, api, told, { uuid, project, timeoutMs: flags.timeout });
    say(this, `${uuid}\n`);
  });
}

/** The system that is still there boots again. */
export async function abortReinstall(this: Cli, flags: ScopeFlags, uuid: string): Promise<void> {
  await withApi(this, flags, async (api, target) => {
    const project = await projectWanted(api, flags, target.project, uuid);
    const { machine } = await api.client(MachineService).abortReinstall({ uuid, project });
    note(this, `the reinstallation is called off: ${machine?.allocation?.image?.id} boots again`);
    say(this, `${uuid}\n`);
  });
}

const disksText = ({ overwrittenDisks, keptDisks }: ReinstallResponse): string =>
  `${overwrittenDisks.join(", ")} overwritten, ${keptDisks.join(", ") || "no other disk of the layout"} kept`;

async function waitUntilHome(
  cli: Cli,
  api: Api,
  { machine }: ReinstallResponse,
  at: { readonly uuid: string; readonly project: string; readonly timeoutMs: number },
): Promise<void> {
  const last = machine ? newestEvent(machine) : undefined;
  const startMs = cli.clock.wallMs();
  const lastMs = last ? eventMs(last) : 0;
  await waitFor(cli, api, {
    observed: { uuid: at.uuid, project: at.project },
    goal: "reinstalled",
    sinceMs: lastMs || startMs,
    timeoutMs: at.timeoutMs,
    verdict: reinstalled(machine?.allocation?.uuid ?? "", lastMs),
  });
  note(cli, `reinstalled after ${durationText(cli.clock.wallMs() - startMs)}`);
}
