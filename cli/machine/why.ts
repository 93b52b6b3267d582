import { ExplainResponseSchema, MachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import type { OutputFlags, ScopeFlags } from "../flags.ts";
import { shownText } from "../view/output.ts";
import { explanationText } from "./explanation.ts";

export async function whyMachine(this: Cli, flags: ScopeFlags & OutputFlags, uuid: string): Promise<void> {
  await withApi(this, flags, async (api, target) => {
    const project = flags.admin ? "" : (flags.project ?? target.project ?? "");
    const told = await api.client(MachineService).explain({ uuid, project });
    const forPeople = () => explanationText(uuid, told, this.clock.wallMs());
    say(this, shownText(ExplainResponseSchema, told, flags.output, forPeople));
  });
}
