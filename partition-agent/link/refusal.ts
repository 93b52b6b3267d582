import { Code, ConnectError } from "@connectrpc/connect";

const refusals: readonly Code[] = [
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.NotFound,
  Code.FailedPrecondition,
  Code.InvalidArgument,
  Code.Unimplemented,
];

/** Whether this is what central will answer again until somebody does something about it. */
export const isRefusal = (error: unknown): boolean => error instanceof ConnectError && refusals.includes(error.code);
