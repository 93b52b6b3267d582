import type { ReportCursor } from "#gen/holdfast/state/v1/cursor_pb.ts";
import type { FollowRequest } from "#gen/holdfast/sync/v1/sync_pb.ts";

/** From this protocol on, an agent keeps a record of those of its lives that have reported. */
export const livesProtocol = 3;

/**
 * Whether the agent's outbox has reported more than its disk knows of. Its sequence alone does not tell: it may have counted on while
 * central could not be reached.
 * @param taken from that outbox
 */
export function isSetBack(
  taken: ReportCursor,
  { agent, sequence, former, protocol }: Pick<FollowRequest, "agent" | "sequence" | "former" | "protocol">,
): boolean {
  if (protocol < livesProtocol || taken.agent === "") return taken.sequence > sequence;
  if (taken.agent === agent) return false;
  const last = former.find((life) => life.agent === taken.agent);
  return last === undefined || taken.sequence > last.sequence;
}
