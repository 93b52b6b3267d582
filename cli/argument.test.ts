import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeUserdata, parseLabels, parseNetwork, parseRoles, sshKeys, userdataMax } from "./argument.ts";

describe("what stands behind a flag", () => {
  test("a label is a key and, perhaps, a value", () => {
    assert.deepEqual(parseLabels(["a=b", "c", "d=e=f"]), { ok: true, value: { a: "b", c: "", d: "e=f" } });
    for (const bad of [["=x"], [""], ["a=1", "a=2"]]) assert.equal(parseLabels(bad).ok, false, bad.join());
  });

  test("a network may name its addresses", () => {
    assert.deepEqual(parseNetwork("internet"), { ok: true, value: { network: "internet", ips: [] } });
    assert.deepEqual(parseNetwork("n=1.2.3.4,5.6.7.8"), {
      ok: true,
      value: { network: "n", ips: ["1.2.3.4", "5.6.7.8"] },
    });
    for (const bad of ["", "=1.2.3.4", "n=", "n=a=b", "n=1.2.3.4,"]) assert.equal(parseNetwork(bad).ok, false, bad);
  });

  test("a role belongs to a subject, and an unknown one names those that there are", () => {
    const roleOf = (word: string) => ({ owner: 1, viewer: 3 })[word];
    assert.deepEqual(parseRoles(["*=viewer", "p=owner"], [], roleOf), { ok: true, value: { "*": 3, p: 1 } });
    const wrong = parseRoles(["p=king"], ["owner", "viewer"], roleOf);
    assert.ok(!wrong.ok && wrong.error.endsWith("ROLE is owner, viewer"));
    assert.equal(parseRoles(["=owner"], [], roleOf).ok, false);
  });

  test("userdata becomes base64 and has a limit", () => {
    assert.deepEqual(encodeUserdata("#!/bin/sh\necho hä\n"), {
      ok: true,
      value: Buffer.from("#!/bin/sh\necho hä\n").toString("base64"),
    });
    assert.equal(encodeUserdata("x".repeat((userdataMax / 4) * 3)).ok, true);
    assert.equal(encodeUserdata("x".repeat((userdataMax / 4) * 3 + 1)).ok, false);
    assert.equal(encodeUserdata(" \n").ok, false);
  });

  test("a file of ssh keys gives every key and no comment", () => {
    assert.deepEqual(sshKeys("# mine\nssh-ed25519 AAAA a\n\n  ssh-rsa BBBB b  \n"), [
      "ssh-ed25519 AAAA a",
      "ssh-rsa BBBB b",
    ]);
  });
});
