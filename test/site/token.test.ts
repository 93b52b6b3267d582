import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { verifyJwt } from "#agent/api/jwt-verifier.ts";
import { type MachineCentral, machineCentral } from "#central/testing/machines.ts";

let central: MachineCentral;
before(async () => {
  central = await machineCentral();
});
after(() => central.close());

test("an agent verifies central's tokens by what central tells it, and finds them among those that may", async () => {
  const access = central.identity.accessTo(central.project);
  const uuid = await verifyJwt(central.ownerToken, access, central.clock.wallMs());
  assert.equal(access.tokens.find((token) => token.uuid === uuid)?.user, "ann");
});

test("a token that has ended, that another has signed, or that is none, is not taken", async () => {
  const access = central.identity.accessTo(central.project);
  const nowMs = central.clock.wallMs();
  await assert.rejects(verifyJwt(central.ownerToken, access, nowMs + 400 * 86_400_000));
  await assert.rejects(verifyJwt(central.ownerToken, { ...access, keys: [] }, nowMs));
  await assert.rejects(verifyJwt(central.ownerToken, { ...access, issuer: "somebody" }, nowMs));
  const [head, , signature] = central.ownerToken.split(".");
  const forged = Buffer.from(JSON.stringify({ iss: access.issuer, jti: "x", exp: 9e9 })).toString("base64url");
  await assert.rejects(verifyJwt(`${head}.${forged}.${signature}`, access, nowMs));
  await assert.rejects(verifyJwt("nonsense", access, nowMs));
});
