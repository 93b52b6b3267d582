import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checked } from "../result.ts";
import {
  type Address,
  addressText,
  bitsOf,
  type Family,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixText,
  sizeOf,
} from "./prefix.ts";

const prefix = (text: string): Prefix => checked(parsePrefix(text));
const address = (text: string): Address => checked(parseAddress(text));
const canonical = (text: string) => addressText(address(text));

const families = fc.constantFrom<Family>(4, 6);
const addresses = families.chain((family) =>
  fc.bigInt({ min: 0n, max: (1n << BigInt(bitsOf(family))) - 1n }).map((value): Address => ({ family, value })),
);
const prefixes = addresses.chain(({ family, value }) =>
  fc.integer({ min: 0, max: bitsOf(family) }).map((length): Prefix => {
    return { family, length, network: value - (value % sizeOf({ family, length })) };
  }),
);

test("an address is read from every usual form and written in the canonical one", () => {
  assert.equal(canonical("10.0.0.1"), "10.0.0.1");
  assert.equal(canonical("::"), "::");
  assert.equal(canonical("::1"), "::1");
  assert.equal(canonical("2001:DB8:0:0:0:0:0:1"), "2001:db8::1");
  assert.equal(canonical("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");
  assert.equal(canonical("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1");
  assert.equal(canonical("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
  assert.equal(canonical("::ffff:10.0.0.1"), "::ffff:a00:1");
  assert.equal(canonical("fe80::"), "fe80::");
});

test("what is no address is refused", () => {
  const bad = ["", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "g::"];
  bad.push("1:2:3:4:5:6:7:8:9", "::1%eth0", "10.0.0.1::", "1.2.3.4:5::", "1:2:3:4:5:6:7:8::", "12345::");
  for (const text of bad) assert.equal(parseAddress(text).ok, false, text);
});

test("a written address reads back as the same", () => {
  fc.assert(fc.property(addresses, (a) => assert.deepEqual(address(addressText(a)), a)));
  fc.assert(fc.property(prefixes, (p) => assert.deepEqual(prefix(prefixText(p)), p)));
});

test("any text is read or refused, never thrown on", () => {
  fc.assert(fc.property(fc.string(), (text) => void parsePrefix(text)));
});

test("a prefix with bits beyond its length is refused, with the prefix that may be meant", () => {
  const parsed = parsePrefix("10.0.1.7/22");
  assert.equal(parsed.ok, false);
  assert.match(parsed.error, /10\.0\.0\.0\/22/);
  for (const text of ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/+1", "10.0.0.0/08", "10.0.0.0/8/8"]) {
    assert.equal(parsePrefix(text).ok, false, text);
  }
});
