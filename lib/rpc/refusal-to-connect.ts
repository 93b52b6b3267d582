import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import type { Log } from "../log.ts";
import type { Random } from "../random.ts";
import { Refusal, type RefusalCode } from "../refusal.ts";
import { whole } from "../whole.ts";

const codes: Readonly<Record<RefusalCode, Code>> = {
  invalid: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  denied: Code.PermissionDenied,
  "not-found": Code.NotFound,
  exists: Code.AlreadyExists,
  precondition: Code.FailedPrecondition,
  conflict: Code.Aborted,
  exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  unimplemented: Code.Unimplemented,
};

const domain = "holdfast";

type OutgoingDetail = NonNullable<ConstructorParameters<typeof ConnectError>[3]>[number];

/**
 * The answer for a refusal: its code and text, `reason` as google.rpc.ErrorInfo, `field` as google.rpc.BadRequest, `retryAfterMs` as
 * google.rpc.RetryInfo and, in whole seconds, as the header of HTTP.
 */
export function connectErrorOf(refusal: Refusal): ConnectError {
  const { code, retryAfterMs } = refusal;
  const message = whole(refusal.message, textMax);
  const headers = retryAfterMs === undefined ? {} : { "retry-after": `${Math.ceil(retryAfterMs / 1_000)}` };
  return new ConnectError(message, codes[code], headers, detailsOf(refusal, message));
}

/** Characters of a text and of a field's path: they travel in gRPC's trailers, and callers may have given words for them. */
const textMax = 1_024;
const fieldMax = 256;

function detailsOf({ reason, field: path, retryAfterMs }: Refusal, message: string): OutgoingDetail[] {
  const field = path === undefined ? undefined : whole(path, fieldMax);
  const details: OutgoingDetail[] = [];
  if (reason !== undefined) {
    const value = { reason, domain, metadata: field === undefined ? {} : { field } };
    details.push({ desc: ErrorInfoSchema, value });
  }
  if (field !== undefined) {
    const fieldViolations = [{ field, description: message, reason: reason ?? "" }];
    details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  }
  if (retryAfterMs !== undefined)
    details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(Math.ceil(retryAfterMs)) } });
  return details;
}

/** Whether the other side refused for this reason, as `connectErrorOf` tells it. */
export const hasReason = (error: unknown, reason: string): boolean =>
  error instanceof ConnectError && error.findDetails(ErrorInfoSchema).some((info) => info.reason === reason);

/**
 * Goes outermost. Refusals become Connect errors, Connect errors pass, and of anything else the caller learns nothing but the id
 * under which the log has it.
 */
export function refusals(ports: { readonly log: Log; readonly random: Random }): Interceptor {
  return (next) => async (request) => {
    const convert = (error: unknown): ConnectError => {
      if (error instanceof ConnectError) return error;
      if (error instanceof Refusal) return connectErrorOf(error);
      if (request.signal.aborted) return ConnectError.from(request.signal.reason, Code.Canceled);
      const id = ports.random.uuid();
      const method = `${request.service.typeName}/${request.method.name}`;
      ports.log.error("request-failed", { request: id, method, error });
      return new ConnectError(`internal error; the server's log has it under request ${id}`, Code.Internal);
    };
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: converting(response.message, convert) } : response;
    } catch (error) {
      throw convert(error);
    }
  };
}

async function* converting<T>(messages: AsyncIterable<T>, convert: (error: unknown) => ConnectError): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw convert(error);
  }
}
