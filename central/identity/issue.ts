import { InfraRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { agentUser, type Identity, type Issued } from "./identity.ts";

/** A token for the agent of one partition. It speaks for that partition alone: `caller.partition` says which. */
export const issueAgentToken = (
  identity: Identity,
  partition: string,
  lifetimeMs: number = 365 * dayMs,
): Promise<Issued> =>
  identity.issue({
    user: agentUser(partition),
    description: `For the agent of partition ${partition}.`,
    lifetimeMs,
    infraRole: InfraRole.EDITOR,
  });
