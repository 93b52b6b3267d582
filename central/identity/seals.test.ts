import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Refusal } from "#lib/refusal.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";

let central: TestCentral;
before(async () => {
  central = await testCentral();
});
after(() => central.close());

const refused = (reason: string) => (e: unknown) => e instanceof Refusal && e.code === "invalid" && e.reason === reason;

test("what is sealed shows nothing, and comes back as it was for the same purpose", async () => {
  const { seals } = central.identity;
  const sealed = await seals.seal("login", { verifier: "canary" }, 60_000);
  const shown = sealed.split(".").map((part) => Buffer.from(part, "base64url").toString("latin1"));
  assert.ok(!shown.join().includes("canary"));
  assert.equal((await seals.open("login", sealed)).verifier, "canary");
  await assert.rejects(seals.open("device", sealed), refused("SEAL_BROKEN"));
});

test("what was changed, made up or signed instead is refused, and what is over as well", async () => {
  const { seals } = central.identity;
  const sealed = await seals.seal("login", { a: 1 }, 60_000);
  const [head = "", ...rest] = sealed.split(".");
  const other = Buffer.from('{"alg":"dir","enc":"A256GCM","kid":"__proto__"}').toString("base64url");
  for (const text of [
    "",
    "x",
    `${sealed}A`,
    `${head}.${rest.join(".").replace(/\..$/, ".")}A`,
    [other, ...rest].join("."),
    central.adminToken,
  ]) {
    await assert.rejects(seals.open("login", text), refused("SEAL_BROKEN"), text);
  }
  central.clock.advance(61_000);
  await assert.rejects(seals.open("login", sealed), refused("SEAL_OVER"));
});
