// After central was restored: what the agent of a partition holds back, and the word that lets it go on.
import {
  type GetHistoryResponse,
  GetHistoryResponseSchema,
  PartitionService,
} from "#gen/holdfast/api/v1/partition_pb.ts";
import { type Cli, note, say, withApi } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { shownText } from "../view/output.ts";
import { contradictionsText } from "./contradictions.ts";
import { holdText } from "./hold.ts";

export async function partitionHistory(this: Cli, flags: ConnectFlags & OutputFlags, id: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    const told = await api.client(PartitionService).getHistory({ id });
    say(
      this,
      shownText(GetHistoryResponseSchema, told, flags.output, () => historyText(told, this.clock.wallMs())),
    );
    if (told.hold) note(this, `to let the agent act on it: holdfast partition accept-history ${id}`);
  });
}

export async function acceptHistory(this: Cli, flags: ConnectFlags, id: string, looked?: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    const partitions = api.client(PartitionService);
    const { history, hold } = await partitions.getHistory({ id });
    if (looked === undefined && hold && hold.held !== history) {
      throw new Failure(
        `the agent of partition ${id} holds history ${hold.held}, and this central's is ${history}: wait until the agent has seen it, or name the history that you mean`,
      );
    }
    await partitions.acceptHistory({ id, history: looked ?? history });
    say(this, `the agent of partition ${id} may act on history ${looked ?? history}\n`);
  });
}

const historyText = ({ history, hold, accepted, contradictions }: GetHistoryResponse, nowMs: number): string => {
  const word = accepted?.history === history ? `, and ${accepted.user} has accepted it` : "";
  const text = hold ? holdText(hold, nowMs) : `central's history is ${history}; the agent holds nothing back${word}\n`;
  return `${text}${contradictionsText(contradictions)}`;
};
