import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { LmdbDisk } from "#lib/io/lmdb-disk.ts";

const folder = mkdtempSync(path.join(tmpdir(), "holdfast-agent-"));
after(() => rmSync(folder, { recursive: true }));

/** Runs the agent until it ends by itself. */
async function agent(config: string, change: string[] = []) {
  const file = path.join(folder, "agent.yaml");
  writeFileSync(file, config);
  const main = path.join(import.meta.dirname, "main.ts");
  const run = spawn(process.execPath, ["--import", "tsx", main, "--config", file, ...change]);
  let text = "";
  const keep = (chunk: Buffer) => {
    text += chunk.toString();
  };
  for (const stream of [run.stdout, run.stderr]) stream.on("data", keep);
  const code = await new Promise<number | null>((resolve) => run.once("close", resolve));
  return { code, text };
}

const good = `
partition: p1
dataDir: ${folder}/data
central: { url: "http://127.0.0.1:1", tokenFile: ${folder}/token }
boot:
  address: 127.0.0.1
  subnets: [{ network: 127.0.0.0/8, from: 127.0.0.10, to: 127.0.0.20 }]
`;

test("a wrong configuration is refused with all of its problems at once", async () => {
  const { code, text } = await agent(
    `
partition: p1
central: { url: "http://127.0.0.1:1" }
boot: { address: nowhere, httpPort: 99999, subnets: [] }
bmc: { ranges: [10.0.0.1-nonsense] }
surprise: 1
`,
  );
  assert.equal(code, 2);
  for (const name of ["dataDir", "tokenFile", "boot.address", "httpPort", "subnets", "bmc.ranges", "surprise"]) {
    assert.ok(text.includes(name), `${name} is missing in:\n${text}`);
  }
});

test("a password file that is not there is named", async () => {
  const { code, text } = await agent(`${good}bmc: { passwordFile: ${folder}/no-such-file }\n`);
  assert.equal(code, 1);
  assert.match(text, /bmc\.passwordFile .*no-such-file: ENOENT/);
});

test("a second agent over the same data is refused, and names the first", async () => {
  const disk = new LmdbDisk(path.join(folder, "data", "state"));
  const { code, text } = await agent(good);
  await disk.close();
  assert.equal(code, 1);
  assert.match(text, new RegExp(`data/state is in use by process ${process.pid}: stop it first`));
});
