import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  noSettings,
  parseServer,
  parseSettings,
  settingsText,
  targetOf,
  withContext,
  withoutContext,
} from "./settings.ts";

const stored = withContext(noSettings, "lab", { server: "http://10.0.0.1:8080", token: "t-lab", project: "p" });

function target(...args: Parameters<typeof targetOf>) {
  const found = targetOf(...args);
  assert.ok(found.ok, found.ok ? "" : found.error);
  return { ...found.value, token: found.value.token?.reveal() };
}

describe("where a call goes", () => {
  test("comes from the current context", () => {
    assert.deepEqual(target({}, {}, stored), {
      server: "http://10.0.0.1:8080",
      token: "t-lab",
      ca: undefined,
      project: "p",
    });
  });

  test("a flag weighs more than the environment, and that more than the file", () => {
    const env = { HOLDFAST_SERVER: "http://env:1", HOLDFAST_TOKEN: "t-env" };
    assert.equal(target({}, env, stored).server, "http://env:1");
    assert.equal(target({ server: "http://flag:1" }, env, stored).server, "http://flag:1");
    assert.equal(target({ token: "t-flag\n" }, env, stored).token, "t-flag");
  });

  test("a stored token is never sent to another server", () => {
    const other = target({ server: "http://evil:1" }, {}, stored);
    assert.deepEqual([other.token, other.project], [undefined, undefined]);
    assert.equal(target({ server: "http://10.0.0.1:8080/" }, {}, stored).token, "t-lab");
  });

  test("an unknown context and no server at all are refused with what to do", () => {
    const unknown = targetOf({ context: "x" }, {}, stored);
    assert.ok(!unknown.ok && /context x is not known \(known: lab\)/.test(unknown.error));
    const none = targetOf({}, {}, noSettings);
    assert.ok(!none.ok && /holdfast login/.test(none.error));
  });

  test("a server is an http or https URL", () => {
    assert.deepEqual(parseServer("https://a.example:1/"), { ok: true, value: "https://a.example:1" });
    for (const bad of ["localhost:8080", "ftp://a", "", "http://u:p@a", "http://a/?b"]) {
      assert.equal(parseServer(bad).ok, false, bad);
    }
  });
});

describe("the configuration file", () => {
  test("is read as it was written", () => {
    assert.deepEqual(parseSettings(settingsText(stored)), { ok: true, value: stored });
    assert.deepEqual(parseSettings(""), { ok: true, value: noSettings });
  });

  test("an error in it names the place", () => {
    const wrong = parseSettings("contexts: {lab: {server: 5}}");
    assert.ok(!wrong.ok && /contexts\.lab\.server/.test(wrong.error));
    const broken = parseSettings("a: [");
    assert.ok(!broken.ok && /not YAML/.test(broken.error));
  });

  test("logging out of the current context makes another the current one", () => {
    const two = withContext(stored, "prod", { server: "https://prod" });
    assert.equal(withoutContext(two, "prod").current, "lab");
    assert.deepEqual(withoutContext(stored, "lab"), { contexts: {} });
  });
});
