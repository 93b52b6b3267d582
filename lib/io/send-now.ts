import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { SendNow } from "../rpc/send-now.ts";

const binaryGrpc = /^application\/grpc(\+proto)?$/i;
/** A flag that says "not compressed", which a message may be whatever was agreed on, and the length. @source gRPC, PROTOCOL-HTTP2.md */
const prefixBytes = 5;

/** Of one call; undefined where its messages would have another form. */
export function sendNow(
  { headers }: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
): SendNow | undefined {
  if (!("stream" in response) || !binaryGrpc.test(headers["content-type"] ?? "")) return undefined;
  const { stream } = response;
  return (message) => {
    if (!stream.headersSent || stream.writableNeedDrain || stream.writableEnded || stream.destroyed) return false;
    const bytes = Buffer.allocUnsafe(prefixBytes + message.length);
    bytes[0] = 0;
    bytes.writeUInt32BE(message.length, 1);
    bytes.set(message, prefixBytes);
    stream.write(bytes);
    return true;
  };
}
