import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { UniversalClientFn, UniversalClientRequest, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { reasonOf } from "#lib/reason-of.ts";
import type { Secret } from "#lib/secret.ts";

/**
 * Plain HTTP/1.1. A connection per call: Node's keep-alive hands out connections that the other side has closed, and the socket
 * would then hang up in the middle of a call.
 */
export const agentTransport = (baseUrl: string, token: Secret): Transport =>
  transportOver(baseUrl, (req) => send(req, token));

/** The Connect protocol over any way to send. */
export const transportOver = (baseUrl: string, httpClient: UniversalClientFn): Transport =>
  createTransport({
    baseUrl,
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 1024,
    readMaxBytes: 4 * 2 ** 20,
    writeMaxBytes: 4 * 2 ** 20,
    httpClient,
  });

async function send(req: UniversalClientRequest, token: Secret): Promise<UniversalClientResponse> {
  const parts: Uint8Array[] = [];
  for await (const part of req.body ?? []) parts.push(part);
  const body = Buffer.concat(parts);
  const headers: Record<string, string> = {
    "content-length": String(body.length),
    authorization: `Bearer ${token.reveal()}`,
  };
  req.header.forEach((value, key) => {
    headers[key] = value;
  });
  const response = await answered(request(req.url, { method: req.method, headers, agent: false }), body, req.signal);
  return {
    status: response.statusCode ?? 0,
    header: received(response),
    body: chunks(response),
    trailer: new Headers(),
  };
}

function answered(call: ClientRequest, body: Uint8Array, signal: AbortSignal | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const stop = () => call.destroy(new Error("aborted"));
    signal?.addEventListener("abort", stop);
    call.once("close", () => signal?.removeEventListener("abort", stop));
    call.once("response", resolve);
    call.on("error", (error) => reject(unavailable(error)));
    // A server may vanish without a word while we wait for days.
    call.setSocketKeepAlive(true, 15_000);
    call.end(body);
    if (signal?.aborted) stop();
  });
}

async function* chunks(response: IncomingMessage): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk as Uint8Array;
  } catch (error) {
    throw unavailable(error);
  }
}

function received(response: IncomingMessage): Headers {
  const header = new Headers();
  for (let i = 0; i + 1 < response.rawHeaders.length; i += 2)
    header.append(response.rawHeaders[i] as string, response.rawHeaders[i + 1] as string);
  return header;
}

const unavailable = (error: unknown): ConnectError =>
  new ConnectError(reasonOf(error), Code.Unavailable, undefined, undefined, error);
