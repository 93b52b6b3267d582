import assert from "node:assert/strict";
import { test } from "node:test";
import { keysIn, type Place } from "./keys.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const keys = (typed: string, at: Place) => {
  const { input, meant, rest, at: next } = keysIn(new TextEncoder().encode(typed), at);
  return [text(input), meant, text(rest), next];
};

test("a tilde counts at the beginning of a line alone, and what it does not mean is typed", () => {
  for (const [typed, at, ...expected] of [
    ["ls\r", "line start", "ls\r", "nothing", "", "line start"],
    ["a~.", "line start", "a~.", "nothing", "", "line"],
    ["~.rest", "line start", "", "leave", "rest", "line start"],
    ["a\r~bc", "line", "a\r", "break", "c", "line start"],
    ["~", "line start", "", "nothing", "", "tilde"],
    [".", "tilde", "", "leave", "", "line start"],
    ["~x", "line start", "~x", "nothing", "", "line"],
    ["~~.", "line start", "~.", "nothing", "", "line"],
    ["~\r~.", "line start", "~\r", "leave", "", "line start"],
  ] as const)
    assert.deepEqual(keys(typed, at), expected, JSON.stringify(typed));
});
