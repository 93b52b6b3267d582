import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parsePrefixes } from "#domain/network/rules.ts";
import { callerAddress } from "./caller-address.ts";

const trusted = parsePrefixes(["10.0.0.0/24", "2001:db8::/64"]);
assert.ok(trusted.ok);
const from = (peer: string, forwardedFor?: string) => callerAddress(trusted.value, peer, forwardedFor);

const rows: readonly (readonly [string, string, string | undefined, string])[] = [
  ["without the header the caller is the peer", "192.0.2.1", undefined, "192.0.2.1"],
  ["who is no trusted proxy can name nobody", "192.0.2.1", "198.51.100.7", "192.0.2.1"],
  ["a trusted proxy is believed", "10.0.0.1", "198.51.100.7", "198.51.100.7"],
  ["what the caller wrote before the proxy did is not", "10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"],
  ["proxies behind proxies are followed", "10.0.0.1", "203.0.113.9, 198.51.100.7,10.0.0.2", "198.51.100.7"],
  ["a call of a proxy itself is the proxy's", "10.0.0.1", undefined, "10.0.0.1"],
  ["when all are proxies it is the first one's", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
  ["who names nobody has called himself", "10.0.0.1", "unknown", "10.0.0.1"],
  ["nobody is believed behind somebody unknown", "10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"],
  ["ports are left out", "10.0.0.1", "198.51.100.7:4711", "198.51.100.7"],
  ["IPv6 is one address however it is written", "2001:db8::1", "2001:DB8:1:0::7", "2001:db8:1::7"],
  ["IPv6 in brackets is known", "2001:db8::1", "[2001:db8:1::7]:443", "2001:db8:1::7"],
  ["IPv4 within IPv6 is IPv4", "::ffff:10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"],
  ["a socket without an address stays without one", "", "198.51.100.7", ""],
];

for (const [name, peer, forwardedFor, caller] of rows)
  test(`the caller's address: ${name}`, () => assert.equal(from(peer, forwardedFor), caller));

test("the caller's address: whatever a header says, nobody but a trusted proxy changes it", () => {
  fc.assert(
    fc.property(fc.string(), (header) => {
      assert.equal(from("192.0.2.1", header), "192.0.2.1");
      assert.equal(from("10.0.0.1", `${header}, 198.51.100.7`), "198.51.100.7");
    }),
  );
});
