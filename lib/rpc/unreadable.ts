// connect-es calls bytes that it cannot read an internal error of the server, before any interceptor sees the call. They are the
// caller's mistake: HTTP 400 rather than 500, and a code for which nobody is woken up.
import { Code } from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";

/** How such an error begins. @source connect-es, protocol/serialization.ts */
const mark = "parse binary: ";
const inTrailer = encodeURIComponent(mark);
const [wrong, right] = [`${Code.Internal}`, `${Code.InvalidArgument}`];

/** Flags of the envelope that a stream ends with. @source connectrpc.com/docs/protocol, gRPC's PROTOCOL-WEB.md */
const lastOfConnect = 2;
const lastOfWeb = 128;

/** The response, in whatever protocol, with that error called by its right name. */
export async function unreadable(response: UniversalServerResponse): Promise<UniversalServerResponse> {
  const { status, header, trailer, body } = response;
  if (body === undefined) return response;
  const type = header?.get("content-type") ?? "";
  if (status === 500) {
    const said = await textOf(body);
    const next = new TextEncoder().encode(renamed(said));
    header?.set("content-length", `${next.length}`);
    return { ...response, status: renamed(said) === said ? 500 : 400, body: one(next) };
  }
  if (type.startsWith("application/connect+")) return { ...response, body: ending(body, lastOfConnect, renamed) };
  if (type.startsWith("application/grpc-web")) return { ...response, body: ending(body, lastOfWeb, renumbered) };
  // gRPC: by now the call has failed, or its request was read.
  if (trailer?.get("grpc-status") === wrong && trailer.get("grpc-message")?.startsWith(inTrailer))
    trailer.set("grpc-status", right);
  return response;
}

const renamed = (said: string): string =>
  said.includes(`"message":"${mark}`) ? said.replace('"code":"internal"', '"code":"invalid_argument"') : said;

const renumbered = (said: string): string =>
  said.includes(inTrailer) ? said.replace(/^(grpc-status: ?)\d+/m, `$1${right}`) : said;

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) text += decoder.decode(chunk, { stream: true });
  return text;
}

async function* one(chunk: Uint8Array): AsyncIterable<Uint8Array> {
  yield chunk;
}

/** Whole envelopes come one by one: flags, four bytes of length, and the message. */
async function* ending(
  body: AsyncIterable<Uint8Array>,
  flag: number,
  amended: (said: string) => string,
): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    const isLast = chunk[0] === flag && chunk.length >= 5;
    const said = isLast ? new TextDecoder().decode(chunk.subarray(5)) : "";
    const next = amended(said);
    yield next === said ? chunk : envelope(flag, new TextEncoder().encode(next));
  }
}

function envelope(flags: number, message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + message.length);
  bytes[0] = flags;
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, 5);
  return bytes;
}
