import assert from "node:assert/strict";
import { test } from "node:test";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { bootPatienceMs, resurrectAfterMaxMs, resurrectAfterMs, silentMs } from "./patience.ts";
import { ago, effectOf, facts, logOf, now } from "./testing/facts.ts";

const allocation = { project: "x", networks: [{ network: "tenant-net", networkType: NetworkType.CHILD }] };
const registering = logOf(Event.PXE_BOOTING, Event.PREPARING, Event.REGISTERING)!;

test("a silent installer is reset, but not for silence from before the agent listened", () => {
  const silent = { events: registering, wipedEpoch: 0n, heardAt: ago(silentMs + 60_000) };
  assert.equal(effectOf(facts({ observed: silent })), "boot-installer");
  const unheard = facts({ observed: silent, facts: { listeningSinceMs: now - 1000 } });
  assert.equal(effectOf(unheard), "wait: the disks to be wiped");
  const wanted = { desired: { epoch: 2n, allocation }, observed: { heardAt: ago(silentMs + 1000), isolatedEpoch: 2n } };
  assert.equal(effectOf(facts(wanted)), "boot-installer", "somebody waits for it");
});

test("a machine that was ready and has fallen silent is resurrected after an hour, then after twice as long up to four", () => {
  const silentFor = (ms: number, listeningSinceMs = now - 24 * 3_600_000) =>
    effectOf(facts({ observed: { heardAt: ago(ms) }, facts: { listeningSinceMs } }));
  assert.equal(silentFor(silentMs - 1000), "wait: an allocation");
  assert.equal(silentFor(silentMs + 1000), "wait: a sign of life: it was ready");
  assert.equal(silentFor(resurrectAfterMs - 1000), "wait: a sign of life: it was ready");
  assert.equal(silentFor(resurrectAfterMs + 1000), "boot-installer");
  assert.equal(silentFor(2 * resurrectAfterMs, now - silentMs + 1000), "wait: an allocation");
  assert.equal(silentFor(2 * resurrectAfterMs, now - silentMs - 1000), "boot-installer");
  const tried = (powerAttempts: number, sinceMs: number) =>
    effectOf(facts({ observed: { heardAt: ago(24 * 3_600_000), powerAttempts, powerActedAt: ago(sinceMs) } }));
  for (const [attempts, patienceMs] of [
    [1, 2 * resurrectAfterMs],
    [2, resurrectAfterMaxMs],
    [9, resurrectAfterMaxMs],
  ] as const) {
    assert.match(tried(attempts, patienceMs - 1000), /^wait: the firmware/);
    assert.equal(tried(attempts, patienceMs + 1000), "boot-installer");
  }
});

test("a machine that was just reset has time to come up, longer with every try", () => {
  const tried = (attempts: number, sinceMs: number) =>
    facts({
      observed: {
        ...{ events: registering, wipedEpoch: 0n, heardAt: ago(3 * 3_600_000) },
        ...{ powerAttempts: attempts, powerActedAt: ago(sinceMs) },
      },
    });
  assert.match(effectOf(tried(1, bootPatienceMs - 1000)), /^wait: the firmware/);
  assert.equal(effectOf(tried(1, bootPatienceMs + 1000)), "boot-installer");
  assert.match(effectOf(tried(2, bootPatienceMs + 1000)), /^wait: the firmware/);
});
