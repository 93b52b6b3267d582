import type { Socket } from "node:net";

/** What every HTTP/2 client says first. @source RFC 9113 §3.4 */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/**
 * Reads just enough of a fresh connection to tell HTTP/2 (prior knowledge) from HTTP/1, puts it back, and hands the socket
 * over in the same turn of the event loop, so that no byte can arrive between the two.
 * A client that says nothing for `withinMs` is cut off; `give` is then never called.
 */
export function peekProtocol(socket: Socket, withinMs: number, give: (protocol: "h2" | "h1") => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const deadline = setTimeout(() => socket.destroy(), withinMs).unref();
  const look = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, preface.length);
    const isPrefaceSoFar = seen.subarray(0, length).equals(preface.subarray(0, length));
    if (isPrefaceSoFar && length < preface.length) return;
    leave();
    socket.unshift(seen);
    give(isPrefaceSoFar ? "h2" : "h1");
  };
  const leave = (): void => {
    clearTimeout(deadline);
    socket.off("readable", look).off("close", leave).off("end", cut);
  };
  const cut = (): void => {
    socket.destroy();
  };
  socket.on("readable", look).on("close", leave).on("end", cut);
}
