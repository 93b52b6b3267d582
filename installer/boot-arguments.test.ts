import assert from "node:assert/strict";
import { test } from "node:test";
import { bootArguments } from "./boot-arguments.ts";

test("the kernel command line gives address, token, MAC and how to start", () => {
  const r = bootArguments(
    "console=ttyS0 holdfast.url=http://10.0.0.1:8080/ holdfast.token=a.b=c holdfast.mac=52-54-0-77-0-1 holdfast.boot=reboot quiet\n",
  );
  assert.ok(r.ok);
  assert.equal(r.value.url, "http://10.0.0.1:8080");
  assert.equal(r.value.token.reveal(), "a.b=c");
  assert.equal(r.value.mac, "52:54:00:77:00:01");
  assert.equal(r.value.start, "reboot");
});

test("kexec is the way to start when none is named, and of a repeated word the last counts", () => {
  const r = bootArguments("holdfast.url=http://a holdfast.token=t holdfast.url=http://b");
  assert.ok(r.ok);
  assert.deepEqual([r.value.start, r.value.url, r.value.mac], ["kexec", "http://b", undefined]);
});

for (const [text, error] of [
  ["holdfast.token=t", "kernel command line: holdfast.url is missing; http://ADDRESS:PORT is wanted"],
  [
    "holdfast.url=ftp://x holdfast.token=t",
    "kernel command line: holdfast.url is ftp://x; http://ADDRESS:PORT is wanted",
  ],
  ["holdfast.url=http://x", "kernel command line: holdfast.token is missing"],
  [
    "holdfast.url=http://x holdfast.token=t holdfast.mac=zz",
    "kernel command line: holdfast.mac: MAC address zz: six hex octets are wanted, such as 52:54:00:77:07:01",
  ],
  [
    "holdfast.url=http://x holdfast.token=t holdfast.boot=halt",
    "kernel command line: holdfast.boot is halt; kexec or reboot is wanted",
  ],
] as const) {
  test(`refused by name: ${text}`, () => assert.deepEqual(bootArguments(text), { ok: false, error }));
}
