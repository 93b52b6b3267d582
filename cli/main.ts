import { userInfo } from "node:os";
import { run } from "@stricli/core";
import { packageVersion } from "#lib/io/package-version.ts";
import { systemClock } from "#lib/io/system-clock.ts";
import { app } from "./app.ts";
import type { Cli } from "./cli.ts";
import { connect } from "./io/connection.ts";
import { postForm } from "./io/post-form.ts";
import { connectSite } from "./io/site-connection.ts";
import { openTerminal } from "./io/terminal.ts";
import { userFiles } from "./io/user-files.ts";

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));
process.once("SIGTERM", () => interrupted.abort(new Error("terminated")));
// `holdfast … | head` ends when the reader goes; that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const streams: Cli["process"] = { stdout: process.stdout, stderr: process.stderr, env: process.env };
const cli: Cli = {
  process: streams,
  clock: systemClock,
  signal: interrupted.signal,
  env: process.env,
  // Behind sudo the one who typed is meant, not root.
  user: process.env.SUDO_USER ?? userInfo().username,
  version: packageVersion(),
  isLive: process.stderr.isTTY === true,
  files: userFiles(process.env),
  openTerminal,
  connect,
  connectSite,
  postForm,
};

await run(app, process.argv.slice(2), cli);
// The parser's own codes are negative: wrong usage, whatever it was.
const code = Number(streams.exitCode ?? 0);
process.exitCode = code < 0 ? 2 : code;
