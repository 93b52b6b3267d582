import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { StoredTokenSchema } from "#gen/holdfast/state/v1/token_pb.ts";
import { dayMs, hourMs } from "#lib/durations.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { newSigningKey } from "../io/new-signing-key.ts";
import { kinds } from "../store/kinds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState, type State } from "../store/state.ts";
import { type KeptIdentity, openIdentity } from "./identity.ts";
import { Jwts, verifiedMax } from "./jwt.ts";
import { signingMs, tokenLifeMaxMs } from "./key-plan.ts";
import { Keyring } from "./keyring.ts";

const issuer = "test";
const provider = "provider";

let clock: VirtualClock;
let store: MemoryStore;
let states: State[];
let stop: AbortController;
/** Making a key takes the host a while, and time here stands meanwhile. */
const madeBefore = newSigningKey();
const newKey = () => madeBefore;

async function central(): Promise<{ state: State; identity: KeptIdentity }> {
  const state = await openState({ store, clock, random, log }, stop.signal);
  states.push(state);
  return { state, identity: await openIdentity({ state, clock, random, newSigningKey: newKey, provider, issuer }) };
}

beforeEach(() => {
  stop = new AbortController();
  clock = new VirtualClock();
  store = new MemoryStore({ clock, random });
  states = [];
});
afterEach(async () => {
  stop.abort();
  for (const state of states) await state.close();
});

const refused = (why: RegExp) => (e: unknown) =>
  e instanceof Refusal && e.code === "unauthenticated" && e.reason === "TOKEN" && why.test(e.message);

async function keyOf(state: State): Promise<JWK> {
  const stored = state.list(kinds.signingKey)[0]?.value;
  assert.ok(stored);
  return JSON.parse(stored.privateJwk) as JWK;
}

const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

test("only what a stored key has signed, for this issuer and for a time that is not over, is believed", async () => {
  const { state, identity } = await central();
  const { secret, token } = await identity.issue({ user: "ann", lifetimeMs: hourMs });
  const good = secret.reveal();
  const [head = "", body = "", signature = ""] = good.split(".");
  const jwk = await keyOf(state);
  const own = await importJWK(jwk, "ES512");
  const foreign = (await generateKeyPair("ES512")).privateKey;
  const { d: _private, ...open } = jwk;
  const seconds = Math.floor(clock.wallMs() / 1000);
  const made = (key: Parameters<SignJWT["sign"]>[0], header: object, claims: object = {}) =>
    new SignJWT({ sub: "ann", jti: token.uuid, iss: issuer, exp: seconds + 3600, ...claims })
      .setProtectedHeader({ alg: "ES512", kid: "1", ...header })
      .sign(key);
  const publicAsSecret = new TextEncoder().encode(JSON.stringify(open));

  const forgeries: readonly [string, string, RegExp][] = [
    ["another key under our key's name", await made(foreign, {}), /not valid/],
    ["a key that nobody has stored", await made(foreign, { kid: "2" }), /unknown here/],
    ["a key named after what every object has", await made(foreign, { kid: "__proto__" }), /unknown here/],
    ["no key's name", await made(own, { kid: undefined }), /unknown here/],
    ["the public key as a shared secret", await made(publicAsSecret, { alg: "HS256" }), /not valid/],
    ["no signature", `${b64({ alg: "none", kid: "1" })}.${body}.`, /not valid/],
    ["no signature, though one is named", `${head}.${body}.`, /not valid/],
    ["another body", `${head}.${b64({ sub: "admin", jti: token.uuid, iss: issuer })}.${signature}`, /not valid/],
    ["a zero signature", `${head}.${body}.${Buffer.alloc(132).toString("base64url")}`, /not valid/],
    ["another issuer", await made(own, {}, { iss: "elsewhere" }), /not valid/],
    ["a time that is over", await made(own, {}, { exp: seconds - 1 }), /expired/],
    ["no id", await made(own, {}, { jti: undefined }), /no id/],
    ["an id that is not stored", await made(own, {}, { jti: random.uuid() }), /unknown/],
    ["a key of its own in the header", await made(foreign, { jwk: await exportJWK(foreign).catch(() => open) }), /./],
  ];
  for (const [what, jwt, why] of forgeries) {
    await assert.rejects(identity.callerOf(`Bearer ${jwt}`), refused(why), what);
  }
  assert.equal((await identity.callerOf(`Bearer ${good}`))?.user, "ann");
  assert.equal((await identity.callerOf(`Bearer ${await made(own, {})}`))?.user, "ann");
  await assert.rejects(identity.callerOf(`Basic ${good}`), refused(/form/));
});

test("several centrals share the keys, and what one revokes no other takes", async () => {
  const [a, b] = [await central(), await central()];
  assert.equal(a.state.list(kinds.signingKey).length, 1);
  const { secret, token } = await a.identity.issue({ user: "ann", lifetimeMs: hourMs });
  const bearer = `Bearer ${secret.reveal()}`;
  assert.equal((await b.identity.callerOf(bearer))?.token, token.uuid);
  await a.identity.revoke(token.uuid, "ann");
  // The store's watch brings it, without any time passing.
  await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(b.identity.callerOf(bearer), refused(/revoked/));
  await assert.rejects(a.identity.callerOf(bearer), refused(/revoked/));
});

test("a key signs for its time; its tokens outlive it, and then it is gone from every central", async () => {
  const [a, b] = [await central(), await central()];
  const kept = [a.identity.keep(log, stop.signal), b.identity.keep(log, stop.signal)];
  const pass = async (ms: number) => {
    // A day at a time, each with the turns that what is done in it takes.
    for (let left = ms; left > 0; left -= dayMs) {
      clock.advance(Math.min(dayMs, left));
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const kidOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split(".")[0] ?? "", "base64url").toString()).kid as string;
  const first = await a.identity.issue({ user: "ann", lifetimeMs: tokenLifeMaxMs });
  assert.equal(kidOf(first.secret.reveal()), "1");
  await pass(signingMs + dayMs);
  assert.deepEqual(
    b.state.list(kinds.signingKey).map((row) => row.id),
    ["1", "2"],
  );
  const second = await b.identity.issue({ user: "ann", lifetimeMs: hourMs });
  assert.equal(kidOf(second.secret.reveal()), "2");
  for (const { secret } of [first, second]) {
    assert.equal((await a.identity.callerOf(`Bearer ${secret.reveal()}`))?.user, "ann");
  }
  await pass(tokenLifeMaxMs + 2 * dayMs);
  assert.equal(b.state.get(kinds.signingKey, "1"), undefined);
  assert.ok(b.state.list(kinds.signingKey).length <= 6);
  stop.abort();
  await Promise.all(kept);
});

test("a key that is taken away takes with it what is remembered of its tokens", async () => {
  const { state, identity } = await central();
  const { secret } = await identity.issue({ user: "ann", lifetimeMs: hourMs });
  const bearer = `Bearer ${secret.reveal()}`;
  await identity.callerOf(bearer);
  await state.transact((tx) => tx.delete(kinds.signingKey, "1"));
  await assert.rejects(identity.callerOf(bearer), refused(/unknown here/));
});

test("no more signatures are remembered than the bound, and the one in use stays", async () => {
  const { state } = await central();
  const keyring = new Keyring({ state, clock, newSigningKey: newKey });
  const jwts = new Jwts(keyring, issuer, 2);
  const sign = async (uuid: string) => {
    const { token } = create(StoredTokenSchema, {
      token: { uuid, user: "ann", issuedAt: { seconds: 1n }, expires: { seconds: 99_999_999_999n } },
    });
    return (await jwts.sign(token!)).reveal();
  };
  const [a, b, c] = [await sign("a"), await sign("b"), await sign("c")];
  for (const jwt of [a, b, a, c]) await jwts.idOf(jwt, clock.wallMs());
  assert.deepEqual(jwts.remembered, ["a", "c"]);
  assert.equal(verifiedMax, 10_000);
});
