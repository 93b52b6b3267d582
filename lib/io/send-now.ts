import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { framed } from "../rpc/grpc-frames.ts";
import type { SendNow } from "../rpc/send-now.ts";

const binaryGrpc = /^application\/grpc(\+proto)?$/i;

/** Of one call; undefined where its messages would have another form. */
export function sendNow(
  { headers }: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
): SendNow | undefined {
  if (!("stream" in response) || !binaryGrpc.test(headers["content-type"] ?? "")) return undefined;
  const { stream } = response;
  return (message) => {
    if (!stream.headersSent || stream.writableNeedDrain || stream.writableEnded || stream.destroyed) return false;
    stream.write(framed(message));
    return true;
  };
}
