import type http from "node:http";
import type { Socket } from "node:net";
import type { PortLimits } from "./port-limits.ts";
import type { HttpRequest, HttpResponse } from "./rpc-handler.ts";

/** What the parser says, or the watch over the time limits. */
type Trouble = Error & { readonly code?: string };

/**
 * HTTP/1 that cannot be read to the end of its header is answered with the limit that it exceeds, and its connection is closed; so is one
 * whose request goes on after its answer.
 */
export function answerTrouble(server: http.Server, limits: PortLimits): void {
  const answering = new WeakSet<object>();
  server.on("request", (req: HttpRequest, res: HttpResponse) => {
    const { socket } = req;
    answering.add(socket);
    res.once("close", () => answering.delete(socket));
    if (req.httpVersionMajor !== 1) return;
    res.once("finish", () => {
      if (req.complete) return;
      const cut = setTimeout(() => socket.destroy(), limits.cutMs);
      req.once("end", () => clearTimeout(cut));
    });
  });
  server.on("clientError", (trouble: Trouble, socket: Socket) => {
    const answer = answerTo(trouble, limits);
    if (answer === undefined || !socket.writable || answering.has(socket)) socket.destroy();
    else closeWith(socket, answer, limits.cutMs);
  });
}

/** What is still coming is read for a moment and dropped: with a reset the client would lose the answer. */
function closeWith(socket: Socket, text: string, cutMs: number): void {
  const cut = setTimeout(() => socket.destroy(), cutMs);
  socket.once("close", () => clearTimeout(cut)).removeAllListeners("data");
  socket.on("data", () => {}).end(text);
}

/**
 * Undefined for trouble that is not HTTP's, such as a TLS handshake's: nothing may be written there, for the handshake may yet come to
 * its end, and give the same socket to HTTP/2.
 */
function answerTo({ code = "" }: Trouble, limits: PortLimits): string | undefined {
  if (code === "HPE_HEADER_OVERFLOW")
    return answer(
      "431 Request Header Fields Too Large",
      refusalText("resource_exhausted", `the header of the request exceeds ${limits.headerBytesMax} bytes`),
    );
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return answer(
      "408 Request Timeout",
      refusalText("deadline_exceeded", `the header of the request did not arrive within ${limits.headersMs} ms`),
    );
  if (!code.startsWith("HPE_")) return undefined;
  return answer("400 Bad Request", refusalText("invalid_argument", "this is no request of HTTP"));
}

const answer = (status: string, body: string): string =>
  `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

/** As Connect's clients read it. */
const refusalText = (code: "resource_exhausted" | "deadline_exceeded" | "invalid_argument", message: string) =>
  JSON.stringify({ code, message });
