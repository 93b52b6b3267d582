import type { Http2SecureServer, Http2Server, ServerHttp2Session } from "node:http2";

/**
 * Watches a server's HTTP/2 connections: one that does not answer a ping within `pingMs` is cut, one without a stream for
 * `idleMs` is closed.
 * @returns call it to let all connections finish their streams and close
 */
export function keepAlive(
  server: Http2Server | Http2SecureServer,
  limits: { readonly pingMs: number; readonly idleMs: number },
): () => void {
  const sessions = new Set<ServerHttp2Session>();
  let draining = false;
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    const stop = watch(session, limits);
    session.once("close", () => {
      stop();
      sessions.delete(session);
    });
    // Errors end the session; they are told to the server as "sessionError".
    session.on("error", () => {});
    if (draining) session.close();
  });
  return () => {
    draining = true;
    for (const session of sessions) session.close();
  };
}

function watch(session: ServerHttp2Session, limits: { readonly pingMs: number; readonly idleMs: number }): () => void {
  let streams = 0;
  let idle: NodeJS.Timeout | undefined;
  const becomeIdle = (): void => {
    idle = setTimeout(() => session.close(), limits.idleMs).unref();
  };
  becomeIdle();
  session.on("stream", (stream) => {
    streams++;
    clearTimeout(idle);
    stream.once("close", () => {
      streams--;
      if (streams === 0 && !session.closed) becomeIdle();
    });
  });
  let answered = true;
  const ping = setInterval(() => {
    if (session.destroyed) return;
    if (!answered) {
      session.destroy();
      return;
    }
    answered = false;
    const sent = session.ping((error) => {
      answered = error === null;
    });
    if (!sent) session.destroy();
  }, limits.pingMs).unref();
  return () => {
    clearInterval(ping);
    clearTimeout(idle);
  };
}
