import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { authorizedKeys, keyUpdate } from "./key-files.ts";

const top = mkdtempSync(path.join(tmpdir(), "holdfast-keys-"));
after(() => rmSync(top, { recursive: true }));

const users = [
  { name: "root", home: "/root" },
  { name: "metal", home: "/home/metal" },
];
const update = keyUpdate("http://10.0.0.1:8080/authorized-keys?token=t", users);
const fileOf = (end: string) => String(update.files.find((f) => f.path.endsWith(end))?.content);
const program = path.join(top, "authorized-keys");
writeFileSync(program, fileOf("/authorized-keys"), { mode: 0o755 });

/** @returns what it printed and its exit code */
async function bash(args: readonly string[], input = "") {
  const child = spawn("bash", [program, ...args], { stdio: ["pipe", "pipe", "ignore"] });
  let out = "";
  child.stdout.on("data", (data: Buffer) => {
    out += data.toString("latin1");
  });
  // One that reads nothing may have ended by now.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [code] = await once(child, "close");
  return { out, code: code as number };
}

/** Writes into a home of its own. */
async function written(former: string | undefined, keys: string): Promise<string | undefined> {
  const home = mkdtempSync(path.join(top, "home-"));
  const file = path.join(home, ".ssh/authorized_keys");
  if (former !== undefined) {
    mkdirSync(path.dirname(file));
    writeFileSync(file, former, { mode: 0o600 });
  }
  assert.equal((await bash(["write", home], keys)).code, 0);
  if (!existsSync(file)) return undefined;
  assert.equal(statSync(file).mode & 0o777, 0o600);
  return readFileSync(file, "utf8");
}

const block = (...keys: readonly string[]) => String(authorizedKeys(keys, users)[0]?.content);

test("what is ours in a file of keys is replaced; other lines stay where they are", async () => {
  assert.equal(
    await written(block("ssh-ed25519 OLD a"), "ssh-ed25519 NEW b\nssh-rsa TWO c\n"),
    block("ssh-ed25519 NEW b", "ssh-rsa TWO c"),
  );
  const own = `ssh-rsa MINE\n${block("ssh-ed25519 OLD a")}ssh-rsa TOO\n`;
  assert.equal(await written(own, "ssh-ed25519 NEW b\n"), `ssh-rsa MINE\n${block("ssh-ed25519 NEW b")}ssh-rsa TOO\n`);
  assert.match((await written(block("ssh-ed25519 OLD a"), "")) ?? "", /^# holdfast begin[^\n]*\n# holdfast end\n$/);
});

test("a file without our marks is its owner's; one that is not there is made, when there are keys", async () => {
  assert.equal(await written("ssh-rsa MINE\n", "ssh-ed25519 NEW b\n"), "ssh-rsa MINE\n");
  assert.equal(await written(undefined, "ssh-ed25519 NEW b\n"), block("ssh-ed25519 NEW b"));
  assert.equal(await written(undefined, ""), undefined);
});

/** Fetches from a server that answers with these bytes and closes. */
async function fetched(answer: string) {
  let asked = "";
  const server = createServer((socket) => {
    socket.on("error", () => {});
    // A shell writes line by line.
    socket.setEncoding("latin1").on("data", (data: string) => {
      asked += data;
      if (asked.endsWith("\r\n\r\n")) socket.end(answer, "latin1");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const { out, code } = await bash(["fetch", `http://127.0.0.1:${port}/authorized-keys?token=t.x`]);
    return { out, isGood: code === 0, asked };
  } finally {
    server.close();
  }
}

test("keys are taken from a whole answer", async () => {
  const { out, isGood, asked } = await fetched(
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 18\r\n\r\nssh-ed25519 NEW b\n",
  );
  assert.deepEqual([out, isGood], ["ssh-ed25519 NEW b\n", true]);
  assert.match(asked, /^GET \/authorized-keys\?token=t\.x HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/);
  assert.deepEqual(await fetched("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").then((f) => [f.out, f.isGood]), [
    "",
    true,
  ]);
});

for (const [what, answer] of [
  ["a refusal", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno\n"],
  ["the end of the allocation", "HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\nover\n"],
  ["an answer that breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 180\r\n\r\nssh-ed25519 NEW b\n"],
  ["an answer without a length", "HTTP/1.1 200 OK\r\n\r\nssh-ed25519 NEW b\n"],
  ["no answer", ""],
] as const) {
  test(`no keys come of ${what}`, async () => {
    const { out, isGood } = await fetched(answer);
    assert.deepEqual([out, isGood], ["", false]);
  });
}

test("an agent that cannot be reached gives no keys", async () => {
  assert.deepEqual(await bash(["fetch", "http://127.0.0.1:1/authorized-keys?token=t"]), { out: "", code: 1 });
});

test("the timer is switched on by a link, and an agent without an address for keys gets none", () => {
  assert.equal(update.link?.target, "../holdfast-authorized-keys.timer");
  assert.match(fileOf("/authorized-keys"), /runuser -u metal -- "\$0" write \/home\/metal/);
  assert.equal(update.files.find((f) => f.path.endsWith("-url"))?.mode, 0o600);
  assert.deepEqual(keyUpdate("", users), { files: [], link: undefined });
});
