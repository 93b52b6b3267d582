// What people do in the contract table at the agent: those on site by its socket, members of a project by its port.
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { AuditPhase } from "#gen/metalstack/api/v2/audit_pb.ts";
import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Cell, yes } from "./contract-rows.ts";
import type { SimServer } from "./server.ts";
import type { World } from "./world.ts";

/** @throws how the order ended, unless it was carried out */
export async function orderOnSite({ home, outside }: World, { uuid }: SimServer, command: Command): Promise<void> {
  for await (const { outcome } of home.agent.onSite(outside).orderBmc({ machine: uuid, command }))
    if (outcome?.error) throw new Error(outcome.error);
}

export async function powerOnSite(world: World, server: SimServer): Promise<Cell> {
  await orderOnSite(world, server, Command.MACHINE_BMC_COMMAND_OFF);
  const off = server.power;
  await orderOnSite(world, server, Command.MACHINE_BMC_COMMAND_ON);
  return yes(off === "off" && server.power === "on", `${off}, then ${server.power}`);
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

/** Id under which central is told of how the latest act ended that was carried out; empty when there is none. */
export async function lastOnRecord({ home, outside }: World): Promise<string> {
  const { traces } = await home.agent.onSite(outside).listAudit({ limit: 10 });
  const ended = traces.find(({ phase, resultCode }) => phase === AuditPhase.RESPONSE && resultCode === 0);
  return ended ? `${ended.uuid}/${ended.phase}` : "";
}

/** @param created what the budget does not allow */
export async function beyondBudget(created: Promise<unknown>): Promise<Cell> {
  try {
    await created;
    return "works";
  } catch (error) {
    const [info] = error instanceof ConnectError ? error.findDetails(ErrorInfoSchema) : [];
    return `refused: ${info?.reason === "OUTSIDE_BUDGET" ? "nothing that central has delegated is left" : String(error)}`;
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
