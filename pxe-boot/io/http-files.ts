import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "#lib/log.ts";
import { fileName } from "../files/file-name.ts";
import type { FileSource, OpenFile } from "../files/file-source.ts";
import { fileAnswer } from "../http/file-answer.ts";
import type { ByteRange } from "../http/range.ts";

/** Answers a request, or says that it is none of its own. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

const chunkBytes = 2 ** 20;
const transfersMax = 256;
/** A client that takes nothing for so long has gone. */
const stallMs = 60_000;

/**
 * Serves files below a path, for mounting in a server of the caller's.
 * @param prefix with a slash at both ends: `/boot/`
 * @returns a handler that resolves to false for paths outside of the prefix, and never rejects
 */
export function httpFiles(prefix: string, files: FileSource, log: Log): HttpHandler {
  let active = 0;
  return async (request, response) => {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    if (!path.startsWith(prefix)) return false;
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") return refuse(response, 405, { allow: "GET, HEAD" });
    const name = decodedName(path.slice(prefix.length));
    if (name === undefined) return refuse(response, 400);
    if (active >= transfersMax) return refuse(response, 503, { "retry-after": "5" });
    active++;
    try {
      const file = await files.open(name);
      if (!file) return refuse(response, 404);
      try {
        await send(response, file, method, request);
      } finally {
        await file.close();
      }
    } catch (error) {
      log.warn("http-file-failed", { name, error });
      // After the headers only a broken connection tells the client that the file is not whole.
      if (response.headersSent) response.destroy();
      else refuse(response, 500);
    } finally {
      active--;
    }
    return true;
  };
}

function decodedName(escaped: string): string | undefined {
  try {
    const name = fileName(decodeURIComponent(escaped));
    return name.ok ? name.value : undefined;
  } catch {
    return undefined;
  }
}

function refuse(response: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}): true {
  // A length of its own: firmware does not all understand chunks.
  response.writeHead(status, { "content-length": "0", ...headers }).end();
  return true;
}

async function send(
  response: ServerResponse,
  file: OpenFile,
  method: "GET" | "HEAD",
  request: IncomingMessage,
): Promise<void> {
  const { "if-none-match": ifNoneMatch, "if-range": ifRange, range } = request.headers;
  const headers = { "if-none-match": ifNoneMatch, "if-range": ifRange as string | undefined, range };
  const answer = fileAnswer({ method, headers }, file);
  response.writeHead(answer.status, answer.headers);
  if (answer.body) await sendBody(response, file, answer.body);
  if (!response.destroyed) response.end();
}

/** One buffer is read into while the other is on its way: fresh ones for every chunk keep the garbage collector busy. */
async function sendBody(response: ServerResponse, file: OpenFile, { from, to }: ByteRange): Promise<void> {
  response.setTimeout(stallMs, () => response.destroy());
  const sizeBytes = Math.min(chunkBytes, to + 1 - from);
  let [idle, busy] = [Buffer.allocUnsafeSlow(sizeBytes), Buffer.allocUnsafeSlow(sizeBytes)];
  let taken = Promise.resolve();
  for (let at = from; at <= to && !response.destroyed; ) {
    const count = await file.read(at, idle.subarray(0, to + 1 - at));
    if (count === 0) throw new Error(`file ended at ${at}, before its ${file.sizeBytes} bytes`);
    at += count;
    await taken;
    taken = write(response, idle.subarray(0, count));
    [idle, busy] = [busy, idle];
  }
  await taken;
}

/** Resolves when the bytes are needed no more: the system has taken them, or nobody listens any more. */
function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve();
    const done = () => {
      response.off("close", done);
      resolve();
    };
    response.on("close", done);
    response.write(bytes, done);
  });
}
