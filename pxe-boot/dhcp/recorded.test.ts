// Requests of real firmware, recorded on the wire of QEMU machines (Debian 12's QEMU, OVMF and iPXE).
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "#lib/bytes.ts";
import { clientOf } from "./client.ts";
import { decodeDhcp } from "./codec.ts";
import type { DhcpMessage } from "./message.ts";
import { replyBytesMax } from "./reply.ts";
import { catalogOf, Desk, must } from "./testing.ts";

/** The first 44 bytes and the options; server name and boot file are empty. */
const recorded = {
  "QEMU BIOS, iPXE ROM":
    "01010600394a7821000400000000000000000000000000000000000052540077070100000000000000000000" +
    "350101390205c05d0200005e030102013c20505845436c69656e743a417263683a30303030303a554e44493a3030323030314d04" +
    "695058453717010306070c0f111a2b3c4243778081828384858687afcbaf30b105011af41000eb03010000170101220101130101" +
    "1101012701011901012901011001022101011501011801011201013d070152540077070161110033221100554477668899aabbcc" +
    "ddeeffff",
  "OVMF 2022.11 PXE":
    "01010600487687a1000080000000000000000000000000000000000052540077070100000000000000000000" +
    "350101390205c037230102030405060c0d0f111216171c28292a2b3233363a3b3c42436180818283848586876111003322110055" +
    "4477668899aabbccddeeff5e030103005d0200073c20505845436c69656e743a417263683a30303030373a554e44493a30303330" +
    "3030ff",
  "OVMF 2022.11 PXE, REQUEST":
    "01010600487687a1000080000000000000000000000000000000000052540077070100000000000000000000" +
    "35010336040a4d000132040a4d00643902ff0037230102030405060c0d0f111216171c28292a2b3233363a3b3c42436180818283" +
    "8485868761110033221100554477668899aabbccddeeff5e030103005d0200073c20505845436c69656e743a417263683a303030" +
    "30373a554e44493a303033303030ff",
  "snponly.efi":
    "010106008c110975000400000000000000000000000000000000000052540077070100000000000000000000" +
    "350101390205c05d0200075e0301030a3c20505845436c69656e743a417263683a30303030373a554e44493a3030333031304d04" +
    "695058453717010306070c0f111a2b3c4243778081828384858687afcbaf24b105011af41000eb03010000170101240101130101" +
    "1101012701012901011501011201013d070152540077070161110033221100554477668899aabbccddeeffff",
  "OVMF 2022.11 HTTP Boot":
    "01010600e8680b4b000080000000000000000000000000000000000052540077070100000000000000000000" +
    "350101390205c0371b0102030405060c0d0f111216171c28292a2b3233363a3b3ceb436161110033221100554477668899aabbcc" +
    "ddeeff5e030103005d0200103c2148545450436c69656e743a417263683a30303031363a554e44493a303033303030ff",
} as const;

const head = 88;
const emptyFields = `${"00".repeat(192)}63825363`;

function messageOf(name: keyof typeof recorded): DhcpMessage {
  const text = recorded[name];
  return must(decodeDhcp(must(fromHex(text.slice(0, head) + emptyFields + text.slice(head)))));
}

const expected = {
  "QEMU BIOS, iPXE ROM": { architecture: 0, isIpxe: true, isHttpBoot: false, file: "http://10.0.0.1/s.ipxe" },
  "OVMF 2022.11 PXE": { architecture: 7, isIpxe: false, isHttpBoot: false, file: "snponly.efi" },
  "OVMF 2022.11 PXE, REQUEST": { architecture: 7, isIpxe: false, isHttpBoot: false, file: undefined },
  "snponly.efi": { architecture: 7, isIpxe: true, isHttpBoot: false, file: "http://10.0.0.1/s.ipxe" },
  "OVMF 2022.11 HTTP Boot": {
    architecture: 16,
    isIpxe: false,
    isHttpBoot: true,
    file: "http://10.0.0.1:8080/boot/snponly.efi",
  },
} as const;

for (const name of Object.keys(recorded) as (keyof typeof recorded)[]) {
  test(`${name}: the recorded request is understood`, () => {
    const message = messageOf(name);
    const client = must(clientOf(message));
    const { architecture, isIpxe, isHttpBoot, file } = expected[name];
    assert.deepEqual(client, {
      holder: "52:54:00:77:07:01",
      mac: "52:54:00:77:07:01",
      uuid: "00112233-4455-6677-8899-aabbccddeeff",
      architecture,
      isIpxe,
      lacksHttp: false,
      isHttpBoot,
      isBooting: true,
    });
    const desk = new Desk({ catalog: catalogOf({ kind: "serve", scriptUrl: "http://10.0.0.1/s.ipxe" }) });
    const answered = desk.ask(message);
    assert.equal(answered.kind === "reply" ? answered.reply.bootFile : undefined, file);
  });
}

test("OVMF 2022.11 PXE: a REQUEST that takes another server's offer is left alone, and its size limit is kept in bounds", () => {
  const message = messageOf("OVMF 2022.11 PXE, REQUEST");
  assert.equal(replyBytesMax(message), 1472);
  assert.equal(new Desk().silence(message), "other-server");
});
