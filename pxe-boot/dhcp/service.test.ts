import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { decodeDhcp, encodeDhcp } from "./codec.ts";
import { DiskLeases } from "./disk-leases.ts";
import type { Lease, LeaseStore } from "./lease.ts";
import { messageTypeOf } from "./options.ts";
import { DhcpService } from "./service.ts";
import { anotherMac, catalogOf, ip, leaseOf, must, requestOf, subnetOf } from "./testing.ts";

const clock: Clock = { wallMs: () => 1_000_000, monotonicMs: () => 0, sleep: async () => {} };

/** A store whose saves end when the test says so. */
class SlowStore implements LeaseStore {
  readonly saved: (readonly Lease[])[] = [];
  readonly #ends: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  load(): Iterable<Lease> {
    return [];
  }

  save(leases: readonly Lease[]): Promise<void> {
    this.saved.push(leases);
    return new Promise((resolve, reject) => this.#ends.push({ resolve, reject }));
  }

  end(error?: Error): void {
    const next = this.#ends.shift();
    if (error) next?.reject(error);
    else next?.resolve();
  }
}

function serviceOf(store: LeaseStore, change: { readonly send?: () => Promise<void> } = {}) {
  const sent: string[] = [];
  const service = new DhcpService({
    settings: { address: ip("10.0.0.1"), offerMs: 60_000, declineMs: 600_000 },
    subnets: [subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.99"])],
    catalog: catalogOf(),
    store,
    clock,
    log: silentLog,
    send: async (bytes) => {
      sent.push(messageTypeOf(must(decodeDhcp(bytes)).options) ?? "?");
    },
    ...change,
  });
  return { service, sent };
}

const requestFrom = (mac: string, requested: string) =>
  encodeDhcp(requestOf("request", { mac, requested, server: "10.0.0.1" }));
const turns = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

test("an ACK leaves only after its lease is durable, an OFFER at once", async () => {
  const store = new SlowStore();
  const { service, sent } = serviceOf(store);
  service.handle(encodeDhcp(requestOf("discover")));
  await turns();
  assert.deepEqual([sent, store.saved.length], [["offer"], 0]);
  service.handle(requestFrom("52:54:00:77:07:01", "10.0.0.10"));
  await turns();
  assert.deepEqual([sent, store.saved.length], [["offer"], 1]);
  store.end();
  await service.idle();
  assert.deepEqual(sent, ["offer", "ack"]);
});

test("ACKs that come in during a save share the next one", async () => {
  const store = new SlowStore();
  const { service, sent } = serviceOf(store);
  for (let i = 0; i < 9; i++) service.handle(requestFrom(`52:54:00:00:00:0${i}`, `10.0.0.1${i}`));
  await turns();
  store.end();
  await turns();
  assert.deepEqual([store.saved.map((group) => group.length), sent.length], [[1, 8], 1]);
  store.end();
  await service.idle();
  assert.equal(sent.length, 9);
});

test("an ACK whose lease cannot be stored is not sent, and the client may ask again", async () => {
  const store = new SlowStore();
  const { service, sent } = serviceOf(store);
  service.handle(requestFrom(anotherMac, "10.0.0.10"));
  await turns();
  store.end(new Error("disk full"));
  await service.idle();
  assert.deepEqual([sent, service.statistics().saveFailures], [[], 1]);
  service.handle(requestFrom(anotherMac, "10.0.0.10"));
  await turns();
  store.end();
  await service.idle();
  assert.deepEqual(sent, ["ack"]);
});

test("garbage, a failing wire and a failing catalog are counted and stop nothing", async () => {
  const { service } = serviceOf(new SlowStore(), { send: () => Promise.reject(new Error("ENETUNREACH")) });
  service.handle(new Uint8Array(7));
  service.handle(encodeDhcp(requestOf("discover")));
  service.handle(encodeDhcp(requestOf("discover", { giaddr: "192.0.2.1" })));
  await service.idle();
  const { malformed, sendFailures, silent, received, leases } = service.statistics();
  assert.deepEqual(
    { malformed, sendFailures, silent, received, leases },
    { malformed: 1, sendFailures: 1, silent: { "no-subnet": 1 }, received: { discover: 2 }, leases: 1 },
  );
});

test("leases are there after a restart, and a damaged row costs only itself", async () => {
  const disk = new MemoryDisk();
  const { service } = serviceOf(new DiskLeases(disk, silentLog));
  service.handle(requestFrom(anotherMac, "10.0.0.42"));
  await service.idle();
  const damage = ["", "{}", '["10.0.0.9"]', '["10.0.0.9","m","bound","soon"]', '["10.0.0","m","bound",1]', "\xff\xfe"];
  await disk.write(
    damage.map((text, i) => ({ table: "dhcp-leases", key: `bad${i}`, value: new TextEncoder().encode(text) })),
  );
  const store = new DiskLeases(disk, silentLog);
  const again = serviceOf(store);
  assert.deepEqual(Array.from(again.service.leases.all()), [leaseOf("10.0.0.42", anotherMac, "bound", 4_600_000)]);
  assert.equal(store.damaged, damage.length);
});
