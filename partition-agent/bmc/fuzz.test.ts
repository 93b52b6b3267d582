// Whatever comes from the network: nothing throws, nothing is believed, nothing grows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Seeded } from "#lib/seeded.ts";
import { nodeBmcCrypto } from "../io/bmc-crypto.ts";
import { cipherSuites, suite3, suite17 } from "./cipher-suite.ts";
import { chassisControl, getChassisStatus } from "./commands.ts";
import { advance, type Handshake, startHandshake } from "./handshake.ts";
import { encodePlain } from "./rmcp.ts";
import { Session } from "./session.ts";
import { Responder } from "./testing/responder.ts";

const packets = 200_000;
const crypto = nodeBmcCrypto;

/** A conversation, recorded: states that a client goes through and datagrams of both sides. */
function recorded(suite: typeof suite3) {
  const random = new Seeded(7);
  const guid = random.bytes(16);
  const setup = { suites: cipherSuites, users: { admin: "secret" }, guid, sessionsMax: 4 };
  const responder = new Responder({ crypto, random }, setup);
  const password = new Uint8Array(20);
  password.set(new TextEncoder().encode("secret"));
  const user = new TextEncoder().encode("admin");
  const input = { suite, user, password, privilege: 4, consoleId: 77, consoleRandom: random.bytes(16) };
  const states: Handshake[] = [];
  const datagrams: Uint8Array[] = [encodePlain(Uint8Array.of(0x20, 0x18, 0xc8, 0x81, 0, 0x38, 0x8e, 4, 0xb5))];
  let { state, packet } = startHandshake(input);
  for (;;) {
    states.push(state);
    const answer = responder.hear(packet)[0] ?? assert.fail("no answer");
    datagrams.push(packet, answer);
    const step = advance(crypto, state, answer);
    if (step.kind === "established") {
      const session = new Session(crypto, step.session);
      const asked = session.packet(getChassisStatus, session.nextRequest(), random.bytes(16));
      datagrams.push(asked, ...responder.hear(asked));
      return { states, datagrams, session, responder };
    }
    if (step.kind !== "send") assert.fail(step.kind);
    ({ state, packet } = step);
  }
}

test(`${packets} random and damaged packets neither throw nor get through nor grow anything`, () => {
  const random = new Seeded(20_26);
  const talks = [recorded(suite3), recorded(suite17)];
  for (let i = 0; i < packets; i++) {
    const talk = talks[i % 2] ?? assert.fail();
    const datagram = i % 5 === 0 ? random.bytes(random.below(120)) : damaged(random, talk.datagrams);
    // Everything has been seen by the session already, and the chassis command is another one.
    if (talk.session.response(chassisControl("on"), 1, datagram).ok) assert.fail("a forged response was believed");
    const state = talk.states[i % talk.states.length] ?? assert.fail();
    const step = advance(crypto, state, datagram);
    if (step.kind === "established") assert.equal(state.phase, "agreeing", "a step was skipped");
    talk.responder.hear(datagram);
  }
  for (const talk of talks) {
    assert.deepEqual(talk.responder.chassis.done, []);
    assert.equal(talk.responder.openSessions, 1, "no session was opened or lost");
  }
});

function damaged(random: Seeded, datagrams: readonly Uint8Array[]): Uint8Array {
  const datagram = datagrams[random.below(datagrams.length)] ?? assert.fail();
  const length = random.below(8) === 0 ? random.below(datagram.length) : datagram.length;
  const copy = datagram.slice(0, length);
  for (let changes = 1 + random.below(3); changes > 0 && copy.length > 0; changes--)
    copy[random.below(copy.length)] = random.below(256);
  return copy;
}
