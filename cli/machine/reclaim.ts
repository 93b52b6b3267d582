import { MachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import type { ConnectFlags } from "../flags.ts";

export async function reclaimMachine(this: Cli, flags: ConnectFlags, uuid: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    const { epoch } = await api.client(MachineService).reclaim({ uuid });
    say(this, `${uuid} is isolated and wiped under epoch ${epoch}\n`);
  });
}
