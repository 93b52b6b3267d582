// 200,000 random and mutated packets for each protocol: nothing throws, nothing grows.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { decodeDhcp, encodeDhcp } from "#pxe-boot/dhcp/codec.ts";
import { DhcpService } from "#pxe-boot/dhcp/service.ts";
import { catalogOf, fromIpxe, ip, requestOf, subnetOf } from "#pxe-boot/dhcp/testing.ts";
import { decodeTftp, encodeTftp } from "#pxe-boot/tftp/packet.ts";
import { agreeOnTerms, defaultTermLimits } from "#pxe-boot/tftp/terms.ts";
import { beginTransfer, onAck, onTime, type Step } from "#pxe-boot/tftp/transfer.ts";
import { mutated, seeded } from "./mutations.ts";

const packets = 200_000;
const agent = [82, Uint8Array.of(1, 3, 1, 2, 3, 5, 4, 10, 0, 0, 0)] as const;

test("DHCP takes 200,000 broken packets: every one is answered, counted or refused", async () => {
  const samples = [
    requestOf("discover", fromIpxe()),
    requestOf("discover", { architecture: 7, vendorClass: "PXEClient:Arch:00007:UNDI:003016" }),
    requestOf("request", { requested: "10.0.0.12", server: "10.0.0.1", options: [[61, Uint8Array.of(1, 2, 3)]] }),
    requestOf("request", { ciaddr: "10.0.0.12" }),
    requestOf("discover", { giaddr: "10.0.0.3", options: [agent, [97, new Uint8Array(17)]] }),
    requestOf("decline", { requested: "10.0.0.12" }),
    requestOf("release", { ciaddr: "10.0.0.12" }),
    requestOf("inform", { ciaddr: "10.0.0.30" }),
    {
      ...requestOf("discover"),
      options: new Map([
        [53, Uint8Array.of(1)],
        [43, new Uint8Array(400)],
      ]),
    },
  ].map((message, i) => encodeDhcp(message, i % 2 ? 1472 : 300));
  let nowMs = 0;
  const clock: Clock = { wallMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => {} };
  let longest = 0;
  const service = new DhcpService({
    settings: { address: ip("10.0.0.1"), offerMs: 60_000, declineMs: 600_000, httpBase: "http://10.0.0.1/boot/" },
    subnets: [subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.200"])],
    catalog: catalogOf({ kind: "serve", scriptUrl: "http://10.0.0.1/boot.ipxe" }),
    store: { load: () => [], save: async () => {} },
    clock,
    log: silentLog,
    send: async (bytes) => {
      longest = Math.max(longest, bytes.length);
    },
  });
  let n = 0;
  let decodedCount = 0;
  for (const packet of mutated(samples, packets, 0xd4c9)) {
    const decoded = decodeDhcp(packet);
    if (decoded.ok) decodedCount++;
    if (decoded.ok && n % 8 === 0) {
      const again = encodeDhcp(decoded.value, 300 + (n % 1200));
      assert.equal(again.length <= packet.length + 300, true, `${again.length} bytes from ${packet.length}`);
      assert.deepEqual(decodeDhcp(again), decoded);
    }
    service.handle(packet);
    nowMs += 20;
    if (++n % 1000 === 0) await service.idle();
  }
  await service.idle();
  const { failures, leases, malformed, sent } = service.statistics();
  assert.equal(failures, 0);
  assert.equal(leases <= 254, true, `${leases} leases`);
  // Replies carry back what a request brought, and little more.
  assert.equal(longest <= 2000, true, `a reply of ${longest} bytes`);
  assert.equal(malformed + decodedCount, packets);
  assert.equal((sent.offer ?? 0) > 1000 && (sent.ack ?? 0) > 1000, true, "the packets reach the server's depth");
});

test("TFTP takes 200,000 broken packets, and transfers stay within their bounds", () => {
  const options = new Map([
    ["blksize", "1468"],
    ["tsize", "0"],
    ["timeout", "2"],
    ["windowsize", "16"],
  ]);
  const samples = [
    encodeTftp({ kind: "read", file: "arm64\\boot.efi", mode: "octet", options }),
    encodeTftp({ kind: "write", file: "x", mode: "octet", options: new Map() }),
    encodeTftp({ kind: "oack", options }),
    encodeTftp({ kind: "data", block: 7, bytes: new Uint8Array(40) }),
    encodeTftp({ kind: "error", code: 8, message: "no" }),
    ...[0, 1, 2, 5, 16, 65_535].map((block) => encodeTftp({ kind: "ack", block })),
  ];
  const below = seeded(7);
  const size = 1468 * 100_000;
  const fresh = (): Step => beginTransfer(agreeOnTerms(options, size, defaultTermLimits), size, 0);
  let step = fresh();
  let nowMs = 0;
  let acknowledged = 0;
  for (const packet of mutated(samples, packets, 0x7f7b)) {
    const decoded = decodeTftp(packet);
    nowMs += 50;
    if (step.kind === "ended") step = fresh();
    if (step.kind === "go-on") step = onTime(step.transfer, nowMs);
    if (!decoded.ok) continue;
    const again = encodeTftp(decoded.value);
    if (again.length > packet.length + 16) assert.fail(`${again.length} bytes from ${packet.length}`);
    assert.deepEqual(decodeTftp(again), decoded);
    if (decoded.value.kind === "read") agreeOnTerms(decoded.value.options, below(2 ** 30), defaultTermLimits);
    if (decoded.value.kind !== "ack" || step.kind !== "go-on") continue;
    // One time out of two the right block, so that transfers get on.
    const block = below(2) === 0 ? step.transfer.sent & 0xffff : decoded.value.block;
    step = onAck(step.transfer, block, nowMs);
    if (step.kind !== "go-on") continue;
    acknowledged = Math.max(acknowledged, step.transfer.acked);
    assert.equal(step.transfer.sent - step.transfer.acked <= 16, true);
    assert.equal(step.transfer.acked <= step.transfer.lastBlock, true);
  }
  assert.equal(acknowledged > 65_536, true, `only block ${acknowledged} was reached`);
});
