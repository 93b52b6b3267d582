import { Code, ConnectError } from "@connectrpc/connect";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { type Machine, MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Api, type Cli, note, say, withApi } from "../cli.ts";
import { dryRun, type PlanFlags, planned } from "../command/plan.ts";
import { Failure } from "../failure.ts";
import type { ScopeFlags, WaitFlags } from "../flags.ts";
import { durationText } from "../view/time.ts";
import { eventMs, newestEvent } from "./events.ts";
import { released } from "./verdict.ts";
import { waitFor } from "./wait.ts";

export type DeleteFlags = ScopeFlags & WaitFlags & PlanFlags;

/** Releases the machine: its project gives it up, and it is wiped. */
export async function deleteMachine(this: Cli, flags: DeleteFlags, uuid: string): Promise<void> {
  await withApi(this, flags, async (api, target) => {
    const project = await projectWanted(api, flags, target.project, uuid);
    if (flags.dryRun) return dryRun(this, api, { case: "deleteMachine", value: { uuid, project } });
    const { machine } = await api.client(MachineService).delete({ uuid, project }, planned(flags));
    if (!flags.wait) return say(this, `${uuid}\n`);
    await waitUntilWiped(this, api, machine, { uuid, project, timeoutMs: flags.timeout });
    say(this, `${uuid}\n`);
  });
}

/** @param usual of the stored login @throws {Failure} when the machine is nobody's and no project was named */
export const projectWanted = async (
  api: Api,
  flags: ScopeFlags,
  usual: string | undefined,
  uuid: string,
): Promise<string> => (flags.admin ? undefined : (flags.project ?? usual)) ?? (await projectOf(api, uuid));

async function projectOf(api: Api, uuid: string): Promise<string> {
  const { machine } = await api.client(AdminMachineService).get({ uuid });
  const project = machine?.allocation?.project;
  if (!project) throw new Failure(`machine ${uuid} belongs to no project: there is nothing to release`);
  return project;
}

async function waitUntilWiped(
  cli: Cli,
  api: Api,
  machine: Machine | undefined,
  at: { readonly uuid: string; readonly project: string; readonly timeoutMs: number },
): Promise<void> {
  const last = machine ? newestEvent(machine) : undefined;
  const lastMs = last ? eventMs(last) : 0;
  const startMs = cli.clock.wallMs();
  const wait = (project: string | undefined) =>
    waitFor(cli, api, {
      observed: { uuid: at.uuid, project },
      goal: "wiped",
      sinceMs: lastMs || startMs,
      timeoutMs: at.timeoutMs,
      verdict: released(lastMs),
    });
  note(cli, `machine ${at.uuid} is released`);
  let view = await wait(undefined).catch((error: unknown) => {
    // Members of a project see the machine only until it has left them.
    if (error instanceof ConnectError && error.code === Code.PermissionDenied) return undefined;
    throw error;
  });
  view ??= await wait(at.project);
  const took = durationText(cli.clock.wallMs() - startMs);
  note(cli, view.deleted ? `it left the project after ${took}; wiping goes on` : `wiped and waiting after ${took}`);
}
