import { MachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import type { ConnectFlags } from "../flags.ts";

export type ForgetFlags = ConnectFlags & { readonly force: boolean };

export async function forgetMachine(this: Cli, flags: ForgetFlags, uuid: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    await api.client(MachineService).forget({ uuid, force: flags.force });
    say(this, `${uuid}\n`);
  });
}
