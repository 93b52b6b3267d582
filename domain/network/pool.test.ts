import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Address,
  addressAt,
  addressText,
  bitsOf,
  type Family,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "#lib/net/prefix.ts";
import { checked } from "#lib/result.ts";
import { gatewayOf } from "./gateway.ts";
import { isUsable, poolOf, usableInBoth, usableOf } from "./pool.ts";

const prefix = (text: string): Prefix => checked(parsePrefix(text));
const address = (text: string): Address => checked(parseAddress(text));
const gatewayText = (text: string) => {
  const gateway = gatewayOf(prefix(text));
  return gateway && addressText(gateway);
};

const families = fc.constantFrom<Family>(4, 6);

test("the gateway is the first host address", () => {
  assert.equal(gatewayText("10.0.1.0/24"), "10.0.1.1");
  assert.equal(gatewayText("2001:db8::/64"), "2001:db8::1");
  assert.equal(gatewayText("10.0.0.0/31"), "10.0.0.0");
  assert.equal(gatewayText("10.0.0.1/32"), undefined);
});

test("network address, gateway and broadcast address are given to nobody", () => {
  const p = prefix("10.0.1.0/29");
  const usable = Array.from({ length: 8 }, (_, i) => isUsable(p, addressAt(p, BigInt(i))));
  assert.deepEqual(usable, [false, false, true, true, true, true, true, false]);
  assert.equal(usableOf(p), 5n);
  assert.equal(usableOf(prefix("10.0.0.0/31")), 1n);
  assert.equal(usableOf(prefix("10.0.0.0/30")), 1n);
  assert.equal(usableOf(prefix("10.0.0.9/32")), 1n);
  assert.equal(usableOf(prefix("2001:db8::/126")), 2n);
  assert.deepEqual(poolOf(prefix("2001:db8::/127")), poolOf(prefix("2001:db8::1/128")));
});

test("what two lists both may give to somebody is what each of them may", () => {
  /** Of 16 addresses, those that begin with these bits. */
  const part = (family: Family, bits: string): Prefix => ({
    family,
    network: address(family === 4 ? "192.0.2.0" : "2001:db8::").value + BigInt(`0b${bits.padEnd(4, "0")}`),
    length: bitsOf(family) - 4 + bits.length,
  });
  // The leaves of a tree that is cut anywhere, some of which are left out.
  const lists = fc.func(fc.constantFrom("cut", "cut", "in", "out")).map((choose) => {
    const leaves = (bits: string): string[] => {
      const choice = choose(bits);
      if (choice === "cut" && bits.length < 4) return [...leaves(`${bits}0`), ...leaves(`${bits}1`)];
      return choice === "out" ? [] : [bits];
    };
    return leaves("");
  });
  fc.assert(
    fc.property(families, lists, lists, (family, a, b) => {
      const some = a.map((bits) => part(family, bits));
      const others = b.map((bits) => part(family, bits));
      const both = usableInBoth(some, others);
      for (let offset = 0n; offset < 16n; offset++) {
        const isIn = (list: readonly Prefix[]) => list.some((p) => isUsable(p, addressAt(part(family, ""), offset)));
        assert.equal(isIn(both), isIn(some) && isIn(others), `${offset} of ${a.join()} and ${b.join()}`);
      }
    }),
  );
});
