// What people do in the contract table at the agent: those on site by its socket, members of a project by its port.
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import type { MachineBMCCommand } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Cell, yes } from "./contract-rows.ts";
import type { SimServer } from "./server.ts";
import type { World } from "./world.ts";

/** @throws how the order ended, unless it was carried out */
export async function orderOnSite(
  { home, outside }: World,
  { uuid }: SimServer,
  command: MachineBMCCommand,
): Promise<void> {
  for await (const { outcome } of home.agent.onSite(outside).orderBmc({ machine: uuid, command }))
    if (outcome?.error) throw new Error(outcome.error);
}

export async function consoleOnSite({ home, outside }: World, { uuid }: SimServer): Promise<Cell> {
  try {
    let text = "";
    for await (const { output } of home.agent.onSite(outside).openConsole({ machine: uuid }))
      text += new TextDecoder().decode(output);
    return yes(text === "login: ", `the console shows ${text}`);
  } catch (error) {
    const [info] = error instanceof ConnectError ? error.findDetails(ErrorInfoSchema) : [];
    return `refused: ${info?.reason ?? String(error)}`;
  }
}

/** By somebody whose token ends eight hours after the beginning. */
export async function listedByClerk({ home, outside, project }: World): Promise<Cell> {
  try {
    const { machines } = await home.agent.people(outside, "clerk").machines.list({ project });
    return yes(machines.length > 0, "no machine is shown");
  } catch (error) {
    return `refused: ${ConnectError.from(error).rawMessage}`;
  }
}
