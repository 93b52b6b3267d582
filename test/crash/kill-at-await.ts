// Loaded before central's program: a call that says so in its headers is the process's last, which ends with SIGKILL before the n-th
// continuation of a promise since the call came in, whoever awaits it. With 0 nothing ends, and the parent is told how many there were.
import { subscribe } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import { promiseHooks } from "node:v8";

/** What a call leaves to be done after its answer, such as its traces, is done within this. */
const quietMs = 600;

subscribe("http.server.request.start", (message) => {
  const { request, response } = message as { readonly request: IncomingMessage; readonly response: ServerResponse }; // as Node documents it
  const asked = request.headers["x-kill-at-await"];
  if (asked === undefined) return;
  let awaits = 0;
  promiseHooks.onBefore(() => {
    if (++awaits === Number(asked)) process.kill(process.pid, "SIGKILL");
  });
  response.once("finish", () => setTimeout(() => process.send?.({ awaits }), quietMs));
});
