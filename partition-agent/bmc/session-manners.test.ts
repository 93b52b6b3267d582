// How the client treats a BMC: sessions, repeats, pauses.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as quiet } from "node:timers/promises";
import { Refusal } from "#lib/refusal.ts";
import { nodeBmcCrypto } from "../io/bmc-crypto.ts";
import { suite3, suite17 } from "./cipher-suite.ts";
import { BmcRefused, BmcUnreachable } from "./errors.ts";
import { pairing } from "./testing/pair.ts";

const pair = pairing(nodeBmcCrypto, quiet);

const rejects = (work: Promise<unknown>, kind: new (...args: never[]) => Error, text: RegExp) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof kind, String(error));
    assert.match(error.message, text);
    return true;
  });

describe("sessions:", () => {
  test("one serves several operations and is closed after a few seconds of rest", async () => {
    const { bmc, ends, responder, clock, transport } = pair();
    await ends(bmc.powerState());
    await ends(bmc.identify("on"));
    await ends(bmc.powerState());
    assert.deepEqual([responder.established, responder.openSessions], [1, 1]);
    clock.advance(5000);
    await ends(clock.sleep(100));
    assert.equal(responder.openSessions, 0);
    assert.equal(transport.openSockets, 0);
    assert.equal(await ends(bmc.powerState()), "off");
    assert.equal(responder.established, 2);
  });

  test("is closed after an error, too", async () => {
    const { bmc, ends, responder, transport } = pair();
    await rejects(ends(bmc.power("reset")), BmcRefused, /0xd5/);
    await ends(bmc.close());
    assert.deepEqual([responder.openSessions, transport.openSockets], [0, 0]);
  });

  test("is closed when its privilege is refused", async () => {
    const { bmc, ends, responder, transport } = pair();
    responder.chassis.unknown.add(`6/${0x3b}`);
    await rejects(ends(bmc.powerState()), BmcRefused, /Set Session Privilege Level: refused with 0xc1/);
    assert.deepEqual([responder.openSessions, transport.openSockets], [0, 0]);
  });

  test("is closed when the answer to its last proof never comes", async () => {
    const { bmc, ends, responder } = pair();
    const stop = new AbortController();
    const work = ends(bmc.powerState(stop.signal));
    while (responder.established === 0) {
      responder.lies.lostAnswers = responder.heard === 4 ? 99 : 0;
      await Promise.resolve();
    }
    stop.abort(new Error("enough"));
    await assert.rejects(work, /enough/);
    assert.equal(responder.openSessions, 0);
  });

  test("that the BMC forgot is replaced without the caller noticing", async () => {
    const { bmc, ends, responder } = pair();
    await ends(bmc.powerState());
    responder.restart();
    assert.equal(await ends(bmc.powerState()), "off");
    assert.equal(responder.established, 2);
  });

  test("a full table is told, and not asked again at once", async () => {
    const { bmc, ends, responder } = pair({ setup: { sessionsMax: 0 } });
    await rejects(ends(bmc.powerState()), BmcRefused, /its session table is full: it frees idle sessions/);
    assert.equal(responder.heard, 2);
  });

  test("a suite that was taken is asked for first the next time", async () => {
    const { bmc, ends, responder } = pair({ setup: { suites: [suite3] } });
    await ends(bmc.powerState());
    const first = responder.heard;
    await ends(bmc.close());
    const { bmc: other, ends: otherEnds, responder: both } = pair({ setup: { suites: [suite17] } });
    await otherEnds(other.powerState());
    assert.equal(first, both.heard + 1);
  });

  test("a repeated RAKP 1 that made the BMC forget its first random number starts the handshake anew", async () => {
    const { bmc, ends, responder } = pair();
    const work = ends(bmc.powerState());
    while (responder.heard < 2) await Promise.resolve();
    // The first RAKP 2 comes when the BMC has answered the repeat already, with another random number.
    responder.lies.lateAnswers = 1;
    assert.equal(await work, "off");
    assert.equal(responder.heard, 10);
  });
});

describe("manners:", () => {
  test("a busy BMC is left alone for a while and asked again", async () => {
    const { bmc, ends, responder, clock } = pair();
    await ends(bmc.powerState());
    responder.lies.busy = 3;
    const before = clock.monotonicMs();
    assert.equal(await ends(bmc.powerState()), "off");
    assert.ok(clock.monotonicMs() - before >= 1500);
  });

  test("a BMC that stays busy is reported as such", async () => {
    const { bmc, ends, responder } = pair();
    responder.lies.busy = 1000;
    await rejects(ends(bmc.powerState()), BmcRefused, /refused with 0xc0: node busy/);
    assert.ok(responder.heard < 40);
  });

  test("a mute BMC hears a handful of packets, farther and farther apart, until the deadline", async () => {
    const { bmc, ends, responder, clock } = pair();
    responder.lies.isMute = true;
    await rejects(ends(bmc.powerState()), BmcUnreachable, /check that it has power, its address, its cable/);
    assert.equal(clock.monotonicMs(), 15_000);
    assert.ok(responder.heard <= 6, `${responder.heard} packets`);
  });

  test("operations of many callers run one after the other, in order", async () => {
    const { bmc, ends, responder } = pair();
    await ends(Promise.all([bmc.power("on"), bmc.power("reset"), bmc.power("off"), bmc.power("on")]));
    assert.deepEqual(responder.chassis.done, ["on", "reset", "off", "on"]);
    assert.equal(responder.established, 1);
  });

  test("more operations than may wait are refused", async () => {
    const { bmc, ends } = pair({ options: { waitingMax: 2 } });
    const waiting = [bmc.powerState(), bmc.powerState(), bmc.powerState()];
    await rejects(bmc.powerState(), Refusal, /BMC bmc1:623: 3 operations wait already/);
    await ends(Promise.all(waiting));
  });

  test("an aborted operation ends at once, and the next one finds the session", async () => {
    const { bmc, ends, responder } = pair();
    await ends(bmc.powerState());
    responder.lies.isMute = true;
    const stop = new AbortController();
    const work = bmc.powerState(stop.signal);
    stop.abort(new Error("enough"));
    await assert.rejects(ends(work), /enough/);
    responder.lies.isMute = false;
    assert.equal(await ends(bmc.powerState()), "off");
    assert.equal(responder.established, 1);
  });

  test("one who gives up while others are served leaves at once, and the order of the others stays", async () => {
    const { bmc, ends, responder } = pair();
    const stop = new AbortController();
    const first = bmc.power("on");
    const second = bmc.power("reset", stop.signal);
    const third = bmc.power("off");
    stop.abort(new Error("enough"));
    await assert.rejects(second, /enough/);
    assert.deepEqual(responder.chassis.done, []);
    await ends(Promise.all([first, third]));
    assert.deepEqual(responder.chassis.done, ["on", "off"]);
  });

  test("closing refuses what runs and what comes", async () => {
    const { bmc, ends, responder, transport } = pair();
    responder.lies.isMute = true;
    const work = bmc.powerState();
    const closed = bmc.close();
    await assert.rejects(ends(work), /the connection is being closed/);
    await ends(closed);
    await assert.rejects(bmc.powerState(), /the connection is being closed/);
    assert.equal(transport.openSockets, 0);
  });
});
