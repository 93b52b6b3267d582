import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Ipv4 } from "#lib/net/ipv4.ts";
import type { Holder } from "./client.ts";
import { decodeLease, encodeLease } from "./lease-codec.ts";
import { Leases } from "./leases.ts";
import { subnetProblems } from "./subnet.ts";
import { ip, leaseOf, subnetOf } from "./testing.ts";

const subnet = subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.13"]);
const nobody = () => false;

test("of what a store held, the live lease of a holder is found", () => {
  const stored = [leaseOf("10.0.0.10", "m", "bound", 5), leaseOf("10.0.0.11", "m", "released", 9)];
  for (const order of [stored, stored.toReversed()])
    assert.equal(new Leases([subnet], order).of("m" as Holder, subnet)?.address, ip("10.0.0.10"));
});

test("addresses are used again in the order: never used, released, not taken, ended, declined", () => {
  const leases = new Leases(
    [subnet],
    [
      leaseOf("10.0.0.11", "b", "bound", 20),
      leaseOf("10.0.0.12", "c", "released", 30),
      leaseOf("10.0.0.13", "d", "declined", 10),
    ],
  );
  const given: number[] = [];
  for (let i = 0; i < 4; i++) {
    const free = leases.free(subnet, nobody, 100)!;
    given.push(free & 255);
    leases.put({ address: free, holder: `n${i}` as Holder, state: "bound", untilMs: 1000 });
  }
  assert.deepEqual(given, [10, 12, 11, 13]);
  assert.equal(leases.free(subnet, nobody, 100), undefined);
});

test("whatever happens, an address has one lease and a subnet no more leases than addresses", () => {
  const event = fc.tuple(
    fc.integer({ min: 0, max: 9 }),
    fc.integer({ min: 10, max: 13 }),
    fc.constantFrom("offered" as const, "bound" as const, "released" as const, "declined" as const),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const leases = new Leases([subnet], []);
      events.forEach(([who, host, state], nowMs) => {
        const address = (host % 2 ? ip(`10.0.0.${host}`) : leases.free(subnet, nobody, nowMs)) ?? ip("10.0.0.10");
        leases.put({ address, holder: `h${who}` as Holder, state, untilMs: nowMs + 5 });
        const all = Array.from(leases.all(), (l) => l.address);
        assert.equal(new Set(all).size, all.length);
        assert.equal(leases.size <= 4, true);
        const held = leases.of(`h${who}` as Holder, subnet);
        assert.equal(held === undefined || leases.at(held.address) === held, true);
      });
    }),
    { seed: 3 },
  );
});

test("a stored lease is read as it was written", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 2 ** 45 }), (address, untilMs) => {
      const lease = {
        address: address as Ipv4,
        holder: "52:54:00:77:07:01" as Holder,
        state: "bound",
        untilMs,
      } as const;
      assert.deepEqual(decodeLease(encodeLease(lease)), { ok: true, value: lease });
    }),
    { seed: 4 },
  );
});

test("all that is wrong with a configuration is said at once", () => {
  const problems = subnetProblems([
    { ...subnetOf("a", "10.0.0.0/24", ["10.0.0.20", "10.0.0.10"]), leaseSeconds: 5, router: ip("10.1.0.1") },
    subnetOf("a", "10.0.0.128/25", ["10.0.0.127", "10.0.0.130"]),
  ]);
  assert.deepEqual(problems, [
    "subnet a: range ends before it begins",
    "subnet a: router 10.1.0.1 is not a host address of the subnet",
    "subnet a: lease of 5 s is not within 120 to 604800",
    "subnet a: range 10.0.0.127-10.0.0.130 leaves the subnet's host addresses",
    "subnet a: the name is used twice",
    "subnets a and a overlap",
  ]);
  assert.deepEqual(subnetProblems([subnet]), []);
});
