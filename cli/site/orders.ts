import type { Client } from "@connectrpc/connect";
import {
  type AskBmcResponse,
  AskBmcResponseSchema,
  type OrderBmcResponse,
  OrderBmcResponseSchema,
  type SiteService,
} from "#gen/holdfast/site/v1/site_pb.ts";
import type { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Cli, note, say } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { OutputFlags } from "../flags.ts";
import { orders } from "../machine/command.ts";
import { factsText } from "../view/facts.ts";
import { isForPeople, oneText } from "../view/output.ts";
import { printable } from "../view/table.ts";
import { timestampMs } from "../view/time.ts";
import { type SiteFlags, withSite } from "./with-site.ts";

type OrderFlags = SiteFlags & OutputFlags;

export async function sitePower(this: Cli, flags: OrderFlags, machine: string, word: string): Promise<void> {
  if (word !== "status") return await order(this, flags, machine, commandOf(orders.power, word, ["status"]), word);
  const told = await withSite(this, flags, (site) => site.askBmc({ machine }));
  say(this, isForPeople(flags.output) ? `${told.powerState}\n` : oneText(AskBmcResponseSchema, told, flags.output));
}

export async function siteIdentify(this: Cli, flags: OrderFlags, machine: string, word: string): Promise<void> {
  await order(this, flags, machine, commandOf(orders.identify, word), `light ${word}`);
}

export async function siteBootTarget(this: Cli, flags: OrderFlags, machine: string, word?: string): Promise<void> {
  if (word !== undefined) {
    const lasting = word === "disk" ? "from now on" : "once";
    return await order(this, flags, machine, commandOf(orders.boot, word), `boot from ${word} ${lasting}`);
  }
  const told = await withSite(this, flags, (site) => site.askBmc({ machine }));
  say(this, isForPeople(flags.output) ? bootText(told) : oneText(AskBmcResponseSchema, told, flags.output));
}

const bootText = ({ uuid, bootTarget, bootDevice, persistent }: AskBmcResponse): string =>
  factsText([
    ["machine", uuid],
    ["must boot", `from ${bootTarget === "disk" ? "disk" : "the network, into the installer"}`],
    [
      "BMC is set",
      bootDevice === "none"
        ? "to nothing: the firmware's own order"
        : `to ${bootDevice}, ${persistent ? "for good" : "once"}`,
    ],
  ]);

function commandOf(table: Readonly<Record<string, Command>>, word: string, more: readonly string[] = []): Command {
  const command = table[word];
  if (command === undefined) throw new Failure(`${word}: ${[...Object.keys(table), ...more].join(", ")} is wanted`, 2);
  return command;
}

/** Gives an order and waits for its outcome. @param what the order in words, for the last line */
async function order(cli: Cli, flags: OrderFlags, machine: string, command: Command, what: string): Promise<void> {
  const last = await withSite(cli, flags, (site) => heard(cli, site.orderBmc({ machine, command }, options(cli))));
  const { uuid, outcome } = last;
  if (outcome === undefined)
    throw new Failure("the agent ended before it told how the order ended: holdfast site why", 3);
  if (!isForPeople(flags.output)) say(cli, oneText(OrderBmcResponseSchema, last, flags.output));
  if (outcome.error !== "") throw new Failure(`${uuid}: ${what} was not carried out: ${printable(outcome.error)}`);
  if (isForPeople(flags.output)) say(cli, `${uuid}: ${what}: carried out\n`);
}

/** The agent itself ends the wait, by the order's deadline. */
const options = (cli: Cli) => ({ timeoutMs: 0, signal: cli.signal });

async function heard(cli: Cli, views: ReturnType<Client<typeof SiteService>["orderBmc"]>): Promise<OrderBmcResponse> {
  let last: OrderBmcResponse | undefined;
  try {
    for await (const view of views) {
      if (!view.outcome && view.why !== last?.why) note(cli, printable(view.why) || "the order is taken");
      last = view;
    }
  } catch (error) {
    const deadline = last?.order?.deadline;
    // Whoever goes away does not take the order along.
    if (deadline) note(cli, `the order stays with the agent until ${new Date(timestampMs(deadline)).toISOString()}`);
    throw error;
  }
  if (!last) throw new Failure("the agent did not take the order", 3);
  return last;
}
