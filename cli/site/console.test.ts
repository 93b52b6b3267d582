import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import type { ConnectRouter } from "@connectrpc/connect";
import { SiteService, type WriteConsoleRequest } from "#gen/holdfast/site/v1/site_pb.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { connectErrorOf } from "#lib/rpc/refusal-to-connect.ts";
import { holdfast } from "../testing/rehearsal.ts";

const uuid = "0b6e1c1e-0000-4000-8000-000000000001";
const folder = mkdtempSync(path.join(tmpdir(), "holdfast-console-"));
const socket = path.join(folder, "site.sock");
const asked: object[] = [];

function routes(router: ConnectRouter): void {
  router.service(SiteService, {
    async *openConsole(request, context) {
      asked.push(request);
      if (request.machine !== "web-1") {
        const text = "this machine has none";
        throw connectErrorOf(new Refusal("unimplemented", text, { reason: "NO_CONSOLE" }));
      }
      yield { uuid, console: "c1" };
      yield { output: new TextEncoder().encode("login: ") };
      // A character that is cut in two is shown whole.
      yield { output: Uint8Array.of(0xc3) };
      yield { output: Uint8Array.of(0xa9) };
      if (request.takeOver) return;
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve, { once: true }));
    },
    writeConsole: (request) => {
      asked.push(request);
      return {};
    },
  });
}

let agent: Listening;
before(async () => {
  agent = await listen({ routes, log: silentLog, limits: { drainMs: 0 } }, { socket });
});
beforeEach(() => void asked.splice(0));
after(async () => {
  await agent.stop();
  rmSync(folder, { recursive: true });
});
const opened = (args: readonly string[], typed: readonly string[] = []) =>
  holdfast(["site", "console", ...args], {
    env: { HOLDFAST_SITE_SOCKET: socket },
    typed: typed.map((text) => new TextEncoder().encode(text)),
  });

test("a console shows what the server says and takes keys to it, until ~. at the beginning of a line", async () => {
  const ran = await opened(["web-1"], ["root\r", "~~.", "x\r~b", "~", ".never"]);
  assert.deepEqual([ran.code, ran.out], [0, "login: é"]);
  assert.match(ran.err, new RegExp(`console of ${uuid}: ~\\. at the beginning of a line leaves it`));
  const written = asked.slice(1).map((request) => {
    const { input, sendBreak } = request as WriteConsoleRequest;
    return sendBreak ? "break" : new TextDecoder().decode(input);
  });
  assert.deepEqual(written, ["root\r", "~.", "x\r", "break"]);
});

test("a console that is ended, or that there is none of, says so", async () => {
  const ended = await opened(["web-1", "--take-over"]);
  assert.deepEqual([ended.code, ended.out], [0, "login: é"]);
  assert.match(ended.err, /the console was ended/);
  assert.match((await opened(["web-2"])).err, /does not offer this \(this machine has none\) \(NO_CONSOLE\)/);
});
