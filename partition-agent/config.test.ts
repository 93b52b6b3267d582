import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readConfig, settingsOf } from "#lib/config.ts";
import { agentConfigSchema } from "./config.ts";

const rest = `
partition: p1
dataDir: data
boot: { address: 10.0.0.1, subnets: [{ network: 10.0.0.0/24, from: 10.0.0.10, to: 10.0.0.20 }] }
`;
const problems = (central: string) => {
  const file = { name: "agent.yaml", text: `${rest}central: ${central}\n` };
  const config = readConfig(agentConfigSchema, { argv: [], env: {}, file });
  return config.ok ? [] : config.error;
};

describe("the agent's configuration:", () => {
  test("central knows the agent by a token or by a join token, and not by both", () => {
    assert.deepEqual(problems('{ url: "http://c:1", tokenFile: t }'), []);
    assert.deepEqual(problems("{ joinTokenFile: j }"), []);
    assert.deepEqual(problems('{ url: "https://c:1", joinTokenFile: j, caFile: ca }'), []);
    const one = "central.tokenFile: one of central.tokenFile and central.joinTokenFile is wanted, and not both";
    assert.deepEqual(problems("{}"), [one]);
    assert.deepEqual(problems('{ url: "https://c:1", tokenFile: t, joinTokenFile: j }'), [one]);
  });

  test("a token needs central's URL, and a join token one with TLS or none", () => {
    assert.deepEqual(problems("{ tokenFile: t }"), [
      "central.url: is required beside central.tokenFile: URL of central, such as https://central.example:8443",
    ]);
    assert.deepEqual(problems('{ url: "http://c:1", joinTokenFile: j }'), [
      "central.url: who joins by central.joinTokenFile reaches central at https:// only",
    ]);
  });

  test("every setting says what it means", () => {
    assert.deepEqual(
      settingsOf(agentConfigSchema)
        .filter((s) => s.meaning === "")
        .map((s) => s.path.join(".")),
      [],
    );
  });
});
