// The certificates by which central knows the agent of a partition.
import { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { type AgentCertificate, AgentCertificateSchema } from "#gen/holdfast/state/v1/join_pb.ts";
import { type Cli, note, say, withApi } from "../cli.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { listText } from "../view/output.ts";
import type { Column } from "../view/table.ts";
import { ageText, durationText, timestampMs } from "../view/time.ts";

export async function listCertificates(this: Cli, flags: ConnectFlags & OutputFlags, partition: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    const { certificates } = await api.client(PartitionService).listAgentCertificates({ partition });
    const newestFirst = certificates.toSorted((a, b) => issuedMs(b) - issuedMs(a));
    say(this, listText(AgentCertificateSchema, columns(this.clock.wallMs()), newestFirst, flags.output));
  });
}

export async function revokeCertificates(
  this: Cli,
  flags: ConnectFlags,
  partition: string,
  serial?: string,
): Promise<void> {
  await withApi(this, flags, async (api) => {
    const asked = { partition, serial: serial ?? "" };
    const { certificates } = await api.client(PartitionService).revokeAgentCertificates(asked);
    for (const revoked of certificates) say(this, `${revoked.serial} of partition ${partition} is worthless\n`);
    note(this, `the agent goes on with its work; it joins again with holdfast central join-token create`);
  });
}

const issuedMs = ({ issuedAt }: AgentCertificate): number => (issuedAt ? timestampMs(issuedAt) : 0);

const columns = (nowMs: number): readonly Column<AgentCertificate>[] => [
  { title: "SERIAL", of: (c) => c.serial },
  { title: "HOST", of: (c) => c.host },
  { title: "AGE", of: (c) => ageText(c.issuedAt, nowMs) },
  { title: "STATE", of: (c) => stateText(c, nowMs) },
  { title: "JOIN TOKEN", of: (c) => c.token, wide: true },
  { title: "FINGERPRINT", of: (c) => c.fingerprint, wide: true },
];

function stateText({ revokedAt, revokedBy, notAfter }: AgentCertificate, nowMs: number): string {
  if (revokedAt) return `revoked ${ageText(revokedAt, nowMs)} ago by ${revokedBy}`;
  const leftMs = notAfter ? timestampMs(notAfter) - nowMs : 0;
  return leftMs > 0 ? `good for ${durationText(leftMs)}` : "expired";
}
