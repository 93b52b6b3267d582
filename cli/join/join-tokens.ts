// Join tokens: what an administrator gives to whoever sets up a partition's agent.
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { CreateJoinTokenResponseSchema, PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { type JoinToken, JoinTokenSchema } from "#gen/holdfast/state/v1/join_pb.ts";
import { type Cli, note, say, withApi } from "../cli.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { isForPeople, listText, oneText } from "../view/output.ts";
import type { Column } from "../view/table.ts";
import { ageText, durationText, timestampMs } from "../view/time.ts";

export type CreateJoinTokenFlags = ConnectFlags &
  OutputFlags & { readonly partition: string; readonly endpoint?: string | undefined; readonly expires: number };

/** Writes the join string alone to the output, so that `> FILE` makes the file that the agent reads; all else goes beside it. */
export async function createJoinToken(this: Cli, flags: CreateJoinTokenFlags): Promise<void> {
  const { partition, expires, output } = flags;
  await withApi(this, flags, async (api, target) => {
    const endpoint = flags.endpoint ?? target.server;
    const lifetime = durationFromMs(expires);
    const made = await api.client(PartitionService).createJoinToken({ partition, endpoint, lifetime });
    if (!isForPeople(output)) return say(this, oneText(CreateJoinTokenResponseSchema, made, output));
    note(
      this,
      `join token ${made.token?.id}, for one agent of partition ${partition}, within ${durationText(expires)}`,
    );
    note(this, "it is shown this once: put it into the file that central.joinTokenFile of the agent names");
    say(this, `${made.joinString}\n`);
  });
}

export type ListJoinTokensFlags = ConnectFlags & OutputFlags & { readonly partition?: string | undefined };

export async function listJoinTokens(this: Cli, flags: ListJoinTokensFlags): Promise<void> {
  await withApi(this, flags, async (api) => {
    const { tokens } = await api.client(PartitionService).listJoinTokens({ partition: flags.partition ?? "" });
    say(this, listText(JoinTokenSchema, columns(this.clock.wallMs()), tokens, flags.output));
  });
}

export async function revokeJoinToken(this: Cli, flags: ConnectFlags, id: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    const { token } = await api.client(PartitionService).revokeJoinToken({ id });
    say(this, `join token ${id} of partition ${token?.partition} is worthless\n`);
  });
}

const columns = (nowMs: number): readonly Column<JoinToken>[] => [
  { title: "ID", of: (t) => t.id },
  { title: "PARTITION", of: (t) => t.partition },
  { title: "BY", of: (t) => t.createdBy },
  { title: "AGE", of: (t) => ageText(t.createdAt, nowMs) },
  { title: "STATE", of: (t) => stateText(t, nowMs) },
];

function stateText({ use, revokedAt, expires }: JoinToken, nowMs: number): string {
  if (revokedAt) return `revoked ${ageText(revokedAt, nowMs)} ago`;
  if (use) return `used ${ageText(use.at, nowMs)} ago by ${use.host || "an agent"}`;
  const leftMs = expires ? timestampMs(expires) - nowMs : 0;
  return leftMs > 0 ? `good for ${durationText(leftMs)}` : "expired";
}
