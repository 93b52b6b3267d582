import {
  type AskBmcResponse,
  AskBmcResponseSchema,
  type OrderBmcResponse,
  OrderBmcResponseSchema,
} from "#gen/holdfast/site/v1/site_pb.ts";
import type { BmcOrderOutcome } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Cli, note, say } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { OutputFlags } from "../flags.ts";
import { orders } from "../machine/command.ts";
import { factsText } from "../view/facts.ts";
import { isForPeople, oneText, shownText } from "../view/output.ts";
import { printable } from "../view/table.ts";
import { timestampMs } from "../view/time.ts";
import { type SiteFlags, withSite } from "./with-site.ts";

const askAgainMs = 1000;
/** After its deadline an order is refused; so long an agent may need to say so. */
const graceMs = 75_000;

type OrderFlags = SiteFlags & OutputFlags;

export async function sitePower(this: Cli, flags: OrderFlags, machine: string, word: string): Promise<void> {
  if (word !== "status") return await order(this, flags, machine, commandOf(orders.power, word, ["status"]), word);
  const told = await withSite(this, flags, (site) => site.askBmc({ machine }));
  say(
    this,
    shownText(AskBmcResponseSchema, told, flags.output, () => `${told.powerState}\n`),
  );
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
  say(
    this,
    shownText(AskBmcResponseSchema, told, flags.output, () => bootText(told)),
  );
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
  const last = await ended(cli, flags, machine, command);
  const { uuid, outcome } = last;
  if (!isForPeople(flags.output)) say(cli, oneText(OrderBmcResponseSchema, last, flags.output));
  if (outcome?.error) throw new Failure(`${uuid}: ${what} was not carried out: ${printable(outcome.error)}`);
  if (isForPeople(flags.output)) say(cli, `${uuid}: ${what}: carried out\n`);
}

/** The agent itself ends the wait, by the order's deadline. An agent that dies meanwhile is asked again: it still has the order. */
async function ended(cli: Cli, flags: SiteFlags, machine: string, command: Command): Promise<OrderBmcResponse> {
  let last: OrderBmcResponse | undefined;
  try {
    await withSite(cli, flags, async (site) => {
      for await (const view of site.orderBmc({ machine, command }, { timeoutMs: 0, signal: cli.signal })) {
        if (!view.outcome && view.why !== last?.why) note(cli, printable(view.why) || "the order is taken");
        last = view;
      }
    });
  } catch (error) {
    if (!last) throw error;
    const { deadline } = last.order ?? {};
    const until = deadline ? new Date(timestampMs(deadline)).toISOString() : "its deadline";
    note(cli, `${error instanceof Error ? error.message : error}; the order stays with the agent until ${until}`);
    if (cli.signal.aborted) throw error;
  }
  if (!last) throw new Failure("the agent did not take the order", 3);
  return last.outcome ? last : await endedLater(cli, flags, last);
}

async function endedLater(cli: Cli, flags: SiteFlags, given: OrderBmcResponse): Promise<OrderBmcResponse> {
  const { uuid, order } = given;
  const untilMs = (order?.deadline ? timestampMs(order.deadline) : 0) + graceMs;
  for (;;) {
    const outcome = await outcomeOf(cli, flags, given).catch((error: unknown) => {
      if (cli.signal.aborted || cli.clock.wallMs() > untilMs) throw error;
    });
    if (outcome) return { ...given, outcome };
    if (cli.clock.wallMs() > untilMs)
      throw new Failure(`how the order ended is not known to the agent: holdfast site why ${uuid}`, 3);
    await cli.clock.sleep(askAgainMs, cli.signal).catch(() => {});
    if (cli.signal.aborted) throw new Failure("interrupted", 130);
  }
}

const outcomeOf = (
  cli: Cli,
  flags: SiteFlags,
  { uuid, order }: OrderBmcResponse,
): Promise<BmcOrderOutcome | undefined> =>
  withSite(cli, flags, async (site) => {
    const { machine } = await site.getMachine({ machine: uuid });
    return machine?.outcomes.find(({ id }) => id === order?.id);
  });
