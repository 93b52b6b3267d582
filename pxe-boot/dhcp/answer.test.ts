import assert from "node:assert/strict";
import { test } from "node:test";
import { ipv4Text } from "#lib/net/ipv4.ts";
import type { Catalog } from "../catalog.ts";
import { messageTypeOf } from "./options.ts";
import { anotherMac, catalogOf, Desk, ip, leaseOf, requestOf, subnetOf } from "./testing.ts";

/** DISCOVER and REQUEST of one client; gives the bound address as text. */
function lease(desk: Desk, mac?: string): string {
  const said = mac === undefined ? {} : { mac };
  const offered = ipv4Text(desk.reply(requestOf("discover", said)).reply.yiaddr);
  const ack = desk.reply(requestOf("request", { ...said, requested: offered, server: "10.0.0.1" }));
  assert.deepEqual([ack.type, ipv4Text(ack.reply.yiaddr)], ["ack", offered]);
  return offered;
}

test("an address is kept from the offer on, so two MACs never get the same one", () => {
  const desk = new Desk();
  const first = desk.reply(requestOf("discover"));
  const second = desk.reply(requestOf("discover", { mac: anotherMac }));
  assert.notEqual(first.reply.yiaddr, second.reply.yiaddr);
  assert.equal(desk.reply(requestOf("discover")).reply.yiaddr, first.reply.yiaddr);
});

test("ROM, iPXE, installer and system get one lease though their client identifiers differ", () => {
  const desk = new Desk();
  const addresses = [[], [[61, Uint8Array.of(255, 9, 9)]], [[61, Uint8Array.of(1, 2, 3)]]].map((options) =>
    ipv4Text(desk.reply(requestOf("discover", { options: options as [number, Uint8Array][] })).reply.yiaddr),
  );
  assert.deepEqual(new Set(addresses).size, 1);
  assert.equal(desk.facts.leases.size, 1);
});

test("an offer nobody takes is free again after its time", () => {
  const desk = new Desk({ subnets: [subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.10"])] });
  desk.reply(requestOf("discover"));
  assert.equal(desk.silence(requestOf("discover", { mac: anotherMac })), "exhausted");
  desk.nowMs += 60_001;
  assert.equal(ipv4Text(desk.reply(requestOf("discover", { mac: anotherMac })).reply.yiaddr), "10.0.0.10");
});

test("an exhausted range is silence with a reason", () => {
  const desk = new Desk({ subnets: [subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.11"])] });
  lease(desk);
  lease(desk, anotherMac);
  const answered = desk.ask(requestOf("discover", { mac: "52:54:00:77:07:03" }));
  assert.deepEqual(
    { ...answered },
    {
      kind: "silence",
      reason: "exhausted",
      why: "subnet pxe has no free address for 52:54:00:77:07:03",
      lease: undefined,
    },
  );
});

test("a lease is found again after it ended, while others had fresh addresses", () => {
  const desk = new Desk();
  const had = lease(desk);
  desk.nowMs += 10 * 3_600_000;
  lease(desk, anotherMac);
  assert.equal(lease(desk), had);
});

test("a reservation goes before everything, also outside of the range", () => {
  const catalog = catalogOf(
    (mac) => ({ kind: "serve", address: mac === anotherMac ? undefined : ip("10.0.0.200") }),
    ["10.0.0.200", "10.0.0.10"],
  );
  const desk = new Desk({ catalog });
  assert.equal(lease(desk), "10.0.0.200");
  assert.equal(lease(desk, anotherMac), "10.0.0.11", "an address reserved for another host is not given away");
});

test("a reservation in use by somebody else does not keep its host from booting", () => {
  const catalog = catalogOf({ kind: "serve", address: ip("10.0.0.10") }, ["10.0.0.10"]);
  const desk = new Desk({ catalog }, [leaseOf("10.0.0.10", anotherMac, "bound", 1e15)]);
  assert.equal(lease(desk), "10.0.0.11");
});

test("a reservation that is not in the client's subnet does not count", () => {
  const desk = new Desk({ catalog: catalogOf({ kind: "serve", address: ip("10.9.9.9") }) });
  assert.equal(lease(desk), "10.0.0.10");
});

test("a host that the catalog does not serve gets silence", () => {
  const desk = new Desk({ catalog: catalogOf({ kind: "silent", why: "unknown server" }) });
  const answered = desk.ask(requestOf("discover"));
  assert.deepEqual([answered.kind, "why" in answered && answered.why], ["silence", "unknown server"]);
});

test("a client that takes another server's offer sets its address free", () => {
  const desk = new Desk();
  const offered = desk.reply(requestOf("discover")).reply.yiaddr;
  assert.equal(desk.silence(requestOf("request", { requested: "10.0.0.99", server: "10.0.0.7" })), "other-server");
  assert.equal(desk.facts.leases.at(offered)?.state, "released");
});

test("a request for an address that was offered before a restart is granted", () => {
  const ack = new Desk().reply(requestOf("request", { requested: "10.0.0.15", server: "10.0.0.1" }));
  assert.deepEqual([ack.type, ipv4Text(ack.reply.yiaddr)], ["ack", "10.0.0.15"]);
});

test("a client that reboots with its address gets it again", () => {
  const desk = new Desk();
  const had = lease(desk);
  assert.equal(desk.reply(requestOf("request", { requested: had })).type, "ack");
});

test("a client that reboots with an address and has no lease here gets silence", () => {
  assert.equal(new Desk().silence(requestOf("request", { requested: "192.168.1.5" })), "unknown-client");
  assert.equal(new Desk().silence(requestOf("request", { requested: "10.0.0.15" })), "unknown-client");
});

test("a client of ours that reboots with a wrong address gets a NAK by broadcast", () => {
  const desk = new Desk();
  lease(desk);
  for (const requested of ["192.168.1.5", "10.0.0.19"]) {
    const nak = desk.reply(requestOf("request", { requested }));
    assert.deepEqual([nak.type, nak.reply.yiaddr, nak.reply.siaddr, nak.lease], ["nak", 0, 0, undefined]);
    assert.deepEqual(nak.destination, { address: ip("255.255.255.255"), port: "client" });
    assert.equal(messageTypeOf(nak.reply.options), "nak");
  }
});

test("no NAK where the server is not the subnet's only one", () => {
  const subnet = { ...subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.20"]), isAuthoritative: false };
  const desk = new Desk({ subnets: [subnet] });
  lease(desk);
  assert.equal(desk.silence(requestOf("request", { requested: "192.168.1.5" })), "address-refused");
});

test("no NAK to firmware: it would stop for good", () => {
  const desk = new Desk({}, [leaseOf("10.0.0.12", anotherMac, "bound", 1e15)]);
  const said = { requested: "10.0.0.12", server: "10.0.0.1" };
  assert.equal(
    desk.silence(requestOf("request", { ...said, architecture: 7, vendorClass: "PXEClient" })),
    "address-refused",
  );
  assert.equal(desk.reply(requestOf("request", said)).type, "nak");
});

test("a renewal goes round the relay: it is answered by unicast, with the same server identifier, past T1 and T2", () => {
  const far = subnetOf("far", "10.5.0.0/24", ["10.5.0.10", "10.5.0.20"]);
  const desk = new Desk({ subnets: [subnetOf("pxe", "10.0.0.0/24"), far] });
  desk.reply(requestOf("discover", { giaddr: "10.5.0.1" }));
  desk.reply(requestOf("request", { giaddr: "10.5.0.1", requested: "10.5.0.10", server: "10.0.0.1" }));
  for (const afterMs of [1_800_000, 3_150_000]) {
    desk.nowMs += afterMs;
    const ack = desk.reply(requestOf("request", { ciaddr: "10.5.0.10" }));
    assert.deepEqual([ack.type, ack.destination], ["ack", { address: ip("10.5.0.10"), port: "client" }]);
    assert.deepEqual(ack.reply.options.get(54), Uint8Array.of(10, 0, 0, 1));
    assert.equal(ack.lease?.untilMs, desk.nowMs + 3_600_000);
  }
});

test("a renewal of an address that another holds by now is refused", () => {
  const desk = new Desk({}, [leaseOf("10.0.0.12", anotherMac, "bound", 1e15)]);
  assert.equal(desk.reply(requestOf("request", { ciaddr: "10.0.0.12" })).type, "nak");
});

test("a renewal of an address in no subnet of ours is somebody else's business", () => {
  assert.equal(new Desk().silence(requestOf("request", { ciaddr: "172.16.0.9" })), "unknown-client");
});

test("an INFORM is acknowledged to the client's own address and gives no lease", () => {
  const ack = new Desk().reply(requestOf("inform", { ciaddr: "10.0.0.77" }));
  assert.deepEqual([ack.type, ack.lease, ack.reply.yiaddr, ack.reply.options.has(51)], ["ack", undefined, 0, false]);
  assert.deepEqual(ack.destination, { address: ip("10.0.0.77"), port: "client" });
});

test("a declined address rests, and its client gets another one", () => {
  const desk = new Desk({ subnets: [subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.11"])] });
  const had = lease(desk);
  assert.equal(desk.silence(requestOf("decline", { requested: had, server: "10.0.0.1" })), "declined");
  assert.notEqual(lease(desk), had);
  assert.equal(desk.silence(requestOf("discover", { mac: anotherMac })), "exhausted");
  desk.nowMs += 600_001;
  assert.equal(lease(desk, anotherMac), had);
});

test("a released address is first choice for its holder, and free for others when it must be", () => {
  const desk = new Desk({ subnets: [subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.10"])] });
  const had = lease(desk);
  assert.equal(desk.silence(requestOf("release", { ciaddr: had })), "released");
  assert.equal(lease(desk), had);
  desk.ask(requestOf("release", { ciaddr: had }));
  assert.equal(lease(desk, anotherMac), had);
});

test("nobody declines or releases what another holds", () => {
  const desk = new Desk();
  const had = lease(desk);
  assert.equal(desk.silence(requestOf("decline", { mac: anotherMac, requested: had })), "ignored");
  assert.equal(desk.silence(requestOf("release", { mac: anotherMac, ciaddr: had })), "ignored");
  assert.equal(desk.facts.leases.at(ip(had))?.state, "bound");
});

test("the same MAC behind two relays has two leases, and neither moves the other", () => {
  const subnets = [
    subnetOf("a", "10.1.0.0/24", ["10.1.0.10", "10.1.0.20"]),
    subnetOf("b", "10.2.0.0/24", ["10.2.0.10", "10.2.0.20"]),
  ];
  const desk = new Desk({ subnets });
  const at = (giaddr: string) => ipv4Text(desk.reply(requestOf("discover", { giaddr })).reply.yiaddr);
  assert.deepEqual([at("10.1.0.1"), at("10.2.0.1"), at("10.1.0.1")], ["10.1.0.10", "10.2.0.10", "10.1.0.10"]);
});

test("replies and messages without a type are not answered", () => {
  const desk = new Desk();
  assert.equal(desk.silence({ ...requestOf("discover"), op: "reply" }), "not-a-request");
  assert.equal(desk.silence({ ...requestOf("discover"), options: new Map() }), "not-a-request");
  assert.equal(desk.silence(requestOf("ack")), "not-a-request");
});

test("addresses that end in .0 or .255 are not handed out, for old EDK2 refuses them", () => {
  const subnet = subnetOf("wide", "10.0.0.0/16", ["10.0.1.254", "10.0.2.1"]);
  const desk = new Desk({ subnets: [subnet] });
  assert.deepEqual([lease(desk), lease(desk, anotherMac)], ["10.0.1.254", "10.0.2.1"]);
});

test("the catalog hears who asks, and where", () => {
  const heard: unknown[] = [];
  const catalog: Catalog = {
    host: (client) => {
      heard.push(client);
      return { kind: "silent", why: "" };
    },
    isReserved: () => false,
  };
  new Desk({ catalog }).ask(
    requestOf("discover", { giaddr: "10.0.0.3", architecture: 7, options: [[82, Uint8Array.of(1, 2, 65, 66)]] }),
  );
  assert.deepEqual(heard, [
    {
      mac: "52:54:00:77:07:01",
      uuid: undefined,
      architecture: 7,
      isIpxe: false,
      subnet: "pxe",
      relay: { address: ip("10.0.0.3"), circuitId: Uint8Array.of(65, 66), remoteId: undefined },
    },
  ]);
});
