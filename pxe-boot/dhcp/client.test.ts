import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "#lib/bytes.ts";
import { clientOf, uuidText } from "./client.ts";
import { optionCode } from "./option-codes.ts";
import { textBytes, userClassesOption } from "./options.ts";
import { fromIpxe, must, requestOf, type Said } from "./testing.ts";

const client = (said: Said) => must(clientOf(requestOf("discover", said)));
const classes = (hexText: string) => userClassesOption(new Map([[optionCode.userClass, must(fromHex(hexText))]]));

test("a user class is read in the form of RFC 3004 and in the bare form of iPXE", () => {
  assert.deepEqual(classes("0469505845"), ["iPXE"]);
  assert.deepEqual(classes("69505845"), ["iPXE"]);
  assert.deepEqual(classes("046950584503616263"), ["iPXE", "abc"]);
  assert.deepEqual(classes(""), []);
});

test("iPXE is known by its user class or by option 175", () => {
  assert.equal(client({ options: [[optionCode.userClass, textBytes("iPXE")]] }).isIpxe, true);
  assert.equal(client({ options: [[optionCode.ipxe, Uint8Array.of(19, 1, 1)]] }).isIpxe, true);
  assert.equal(client({ vendorClass: "PXEClient" }).isIpxe, false);
  assert.equal(client(fromIpxe([[17, 1]])).lacksHttp, true);
  assert.equal(client(fromIpxe()).lacksHttp, false);
});

test("of several architectures the first known one counts", () => {
  const listed = (codes: readonly number[]) =>
    client({ options: [[optionCode.clientArchitecture, Uint8Array.from(codes.flatMap((c) => [c >> 8, c & 255]))]] });
  assert.equal(listed([7, 999]).architecture, 7);
  assert.equal(listed([999, 9, 0]).architecture, 9);
  assert.equal(listed([999]).architecture, 999);
});

test("the architecture is taken from the vendor class where option 93 is missing", () => {
  assert.equal(client({ vendorClass: "PXEClient:Arch:00007:UNDI:003016" }).architecture, 7);
});

test("a Raspberry Pi that claims to be a BIOS PC is not taken for one", () => {
  assert.equal(client({ mac: "b8:27:eb:01:02:03", architecture: 0 }).architecture, 41);
});

test("the holder is the MAC, whatever the client identifier says", () => {
  const ids = [undefined, Uint8Array.of(1, 2, 3), textBytes("\xffsomething")];
  const holders = ids.map((id) => client({ options: id ? [[optionCode.clientId, id]] : [] }).holder);
  assert.deepEqual(holders, Array(3).fill("52:54:00:77:07:01"));
});

test("without a hardware address the client identifier is the holder", () => {
  const bare = (id: Uint8Array) => ({
    ...requestOf("discover", { options: [[optionCode.clientId, id]] }),
    hardwareType: 32,
    hardwareAddress: new Uint8Array(),
  });
  assert.equal(must(clientOf(bare(Uint8Array.of(255, 1, 2)))).holder, "id:ff0102");
  assert.equal(must(clientOf(bare(Uint8Array.of(1, 82, 84, 0, 1, 2, 3)))).holder, "52:54:00:01:02:03");
  assert.equal(clientOf(bare(new Uint8Array())).ok, false);
});

test("a group address is no client", () => {
  assert.deepEqual(clientOf(requestOf("discover", { mac: "01:00:5e:00:00:01" })), {
    ok: false,
    error: "hardware address 01:00:5e:00:00:01 is a group address",
  });
});

test("the machine identifier is read as SMBIOS stores it, and only with type 0 and 17 bytes", () => {
  const value = must(fromHex("0033221100554477668899aabbccddeeff"));
  assert.equal(uuidText(value), "00112233-4455-6677-8899-aabbccddeeff");
  assert.equal(uuidText(value.subarray(1)), undefined);
  assert.equal(uuidText(undefined), undefined);
});
