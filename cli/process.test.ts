// The program as a user starts it: its own process, its own files, a real terminal's signals.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { fake, holdfast, machine, reset, routes, serverUrl, start, stop, uuid } from "./testing/rehearsal.ts";

const launcher = path.join(import.meta.dirname, "holdfast.mjs");
let home: string;
const settings = () => path.join(home, "holdfast/config.yaml");

before(start);
after(stop);
beforeEach(() => {
  reset();
  home = mkdtempSync(path.join(tmpdir(), "holdfast-cli-"));
});
afterEach(() => rmSync(home, { recursive: true }));

const launch = (...args: string[]) =>
  spawn(process.execPath, [launcher, ...args], {
    env: { PATH: process.env.PATH, XDG_CONFIG_HOME: home },
    stdio: ["pipe", "pipe", "pipe"],
  });

async function ended(child: ReturnType<typeof launch>) {
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { out, err, code: code as number };
}

describe("the program", () => {
  test("stores a login that only this user can read, and uses it", async () => {
    const child = launch("login", "--server", serverUrl(), "--token-file", "-");
    child.stdin.end("good\n");
    const login = await ended(child);
    assert.equal(login.code, 0, login.err);
    assert.equal(statSync(settings()).mode & 0o777, 0o600);
    const list = await ended(launch("partition", "list"));
    assert.deepEqual([list.code, list.out.split("\n")[0]], [0, "ID   DESCRIPTION  AGE"]);
  });

  test("ends with 2 on wrong usage, and says what was meant", async () => {
    const ran = await ended(launch("machine", "lst"));
    assert.equal(ran.code, 2);
    assert.match(ran.err, /did you mean `list`/);
  });

  test("ends with 130 when a watch is interrupted", async () => {
    fake.views = [[{ machine: machine([]), progress: { why: "waiting for power" } }]];
    const child = launch("machine", "watch", "--server", serverUrl());
    const first = await once(child.stdout, "data");
    assert.match(String(first[0]), new RegExp(`${uuid}  web-1  -  waiting for power`));
    child.kill("SIGINT");
    assert.deepEqual(await ended(child), { out: "", err: "holdfast: interrupted\n", code: 130 });
  });
});

const noOpenssl = existsSync("/usr/bin/openssl") ? false : "openssl is not installed (apt-get install openssl)";

test("a server's certificate is trusted through --ca only", { skip: noOpenssl }, async () => {
  const [key, certificate] = [path.join(home, "key.pem"), path.join(home, "certificate.pem")];
  const subject = ["-subj", "/CN=holdfast", "-addext", "subjectAltName=IP:127.0.0.1"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...kind, "-keyout", key, "-out", certificate, ...subject], {
    stdio: "ignore",
  });
  const tls = () => ({ key: readFileSync(key), certificate: readFileSync(certificate) });
  const secure = await listen({ routes, log: silentLog, tls }, { host: "127.0.0.1", port: 0 });
  try {
    const args = ["partition", "list", "--server", `https://127.0.0.1:${secure.port}`];
    const trusted = await holdfast([...args, "--ca", "ca"], { files: { ca: readFileSync(certificate, "utf8") } });
    assert.equal(trusted.code, 0, trusted.err);
    const strange = await holdfast(args);
    assert.equal(strange.code, 3);
    assert.match(strange.err, /shows a certificate that is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\): --ca FILE/);
  } finally {
    await secure.stop();
  }
});

test("settings that are broken are named, not overwritten", async () => {
  mkdirSync(path.dirname(settings()));
  writeFileSync(settings(), "contexts: [");
  const ran = await ended(launch("context"));
  assert.deepEqual([ran.code, /config\.yaml: not YAML/.test(ran.err)], [2, true]);
  assert.equal(readFileSync(settings(), "utf8"), "contexts: [");
});
