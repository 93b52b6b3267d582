import { Code, ConnectError } from "@connectrpc/connect";
import { hasReason } from "#lib/rpc/refusal-to-connect.ts";

const refusals: readonly Code[] = [
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.NotFound,
  Code.FailedPrecondition,
  Code.InvalidArgument,
  Code.Unimplemented,
];

/** Whether central says that another agent is connected under the identity of this one. */
export const isDisplacement = (error: unknown): boolean => hasReason(error, "AGENT_ALREADY_LIVE");

/** Whether this is what central will answer again until somebody does something about it. */
export const isRefusal = (error: unknown): boolean => error instanceof ConnectError && refusals.includes(error.code);
