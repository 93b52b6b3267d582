import assert from "node:assert/strict";
import { test } from "node:test";
import { ipv4Text } from "#lib/net/ipv4.ts";
import { decodeDhcp, encodeDhcp } from "./codec.ts";
import { optionCode } from "./option-codes.ts";
import { textBytes, textOption } from "./options.ts";
import { replyBytesMax } from "./reply.ts";
import { catalogOf, Desk, fromIpxe, ip, must, requestOf, type Said, subnetOf } from "./testing.ts";

const script = "http://10.0.0.1:8080/boot.ipxe";
const booting = (said: Said) =>
  new Desk({ catalog: catalogOf({ kind: "serve", scriptUrl: script }) }).reply(requestOf("discover", said)).reply;

const table: readonly { readonly who: string; readonly said: Said; readonly file: string; readonly class?: string }[] =
  [
    { who: "BIOS PXE", said: { architecture: 0, vendorClass: "PXEClient" }, file: "undionly.kpxe" },
    { who: "UEFI PXE (7)", said: { architecture: 7, vendorClass: "PXEClient" }, file: "snponly.efi" },
    { who: "UEFI PXE (9)", said: { architecture: 9, vendorClass: "PXEClient" }, file: "snponly.efi" },
    { who: "arm64 UEFI PXE", said: { architecture: 11, vendorClass: "PXEClient" }, file: "snponly-arm64.efi" },
    {
      who: "UEFI HTTP Boot",
      said: { architecture: 16, vendorClass: "HTTPClient:Arch:00016:UNDI:003001" },
      file: "http://10.0.0.1:8080/boot/snponly.efi",
      class: "HTTPClient",
    },
    { who: "iPXE", said: fromIpxe(), file: script },
    { who: "an iPXE without HTTP", said: fromIpxe([[21, 1]]), file: "undionly.kpxe" },
  ];
for (const { who, said, file, class: vendorClass } of table) {
  test(`${who} is sent to ${file}, and ${vendorClass ? `gets ${vendorClass} back` : "option 60 is left out"}`, () => {
    const { bootFile, options, siaddr } = booting(said);
    assert.equal(textOption(options, optionCode.bootFile), file);
    assert.equal(bootFile, file, "U-Boot reads the BOOTP field only");
    assert.equal(textOption(options, optionCode.vendorClass), vendorClass);
    assert.equal(textOption(options, optionCode.tftpServerName), file.startsWith("http") ? undefined : "10.0.0.1");
    assert.equal(ipv4Text(siaddr), "10.0.0.1");
    assert.equal(options.has(optionCode.vendorSpecific), false);
  });
}

test("iPXE is told not to wait for a ProxyDHCP offer", () => {
  assert.deepEqual(booting(fromIpxe()).options.get(optionCode.ipxe), Uint8Array.of(176, 1, 1));
  assert.equal(booting({ architecture: 7 }).options.has(optionCode.ipxe), false);
});

test("an operating system gets an address and nothing to boot", () => {
  const { bootFile, options, siaddr } = booting({ vendorClass: "dhcpcd-9" });
  assert.deepEqual([bootFile, options.has(66), options.has(67), siaddr], ["", false, false, 0]);
});

test("an architecture without a boot file gets silence, not an offer that leads nowhere", () => {
  assert.equal(
    new Desk().silence(requestOf("discover", { architecture: 6, vendorClass: "PXEClient" })),
    "no-boot-file",
  );
});

test("a long boot URL goes into option 67 only, whole", () => {
  const scriptUrl = `http://10.0.0.1/${"x".repeat(300)}`;
  const desk = new Desk({ catalog: catalogOf({ kind: "serve", scriptUrl }) });
  const { reply } = desk.reply(requestOf("discover", fromIpxe()));
  const decoded = must(decodeDhcp(encodeDhcp(reply, 548)));
  assert.equal(textOption(decoded.options, optionCode.bootFile), scriptUrl);
  assert.equal(decoded.bootFile, "");
});

test("a relayed request is answered to the relay's port 67 with option 82 last and unchanged", () => {
  const agent = Uint8Array.of(1, 3, 108, 107, 98, 2, 2, 9, 9, 151, 1, 0);
  const said = { giaddr: "10.0.0.3", options: [[82, agent] as const, [61, Uint8Array.of(1, 2, 3)] as const] };
  const { reply, destination } = new Desk().reply(requestOf("discover", said));
  assert.deepEqual(destination, { address: ip("10.0.0.3"), port: "server" });
  assert.deepEqual([...reply.options].at(-1), [82, agent]);
  assert.equal(reply.giaddr, ip("10.0.0.3"));
});

test("the subnet is chosen by the relay's address, or by its link selection when there is one", () => {
  const subnets = [
    subnetOf("a", "10.1.0.0/24", ["10.1.0.10", "10.1.0.20"]),
    subnetOf("b", "10.2.0.0/24", ["10.2.0.10", "10.2.0.20"]),
  ];
  const at = (giaddr: string, options: readonly (readonly [number, Uint8Array])[]) => {
    const { reply, destination } = new Desk({ subnets }).reply(requestOf("discover", { giaddr, options }));
    return `${ipv4Text(reply.yiaddr)} to ${ipv4Text(destination.address)}`;
  };
  assert.equal(at("10.2.0.1", []), "10.2.0.10 to 10.2.0.1");
  assert.equal(at("10.2.0.1", [[82, Uint8Array.of(5, 4, 10, 1, 0, 0)]]), "10.1.0.10 to 10.2.0.1");
  assert.equal(new Desk({ subnets }).silence(requestOf("discover", { giaddr: "10.3.0.1" })), "no-subnet");
  assert.equal(new Desk({ subnets }).silence(requestOf("discover")), "no-subnet");
});

test("a relay may override the server identifier (RFC 5107)", () => {
  const options = [[82, Uint8Array.of(11, 4, 10, 0, 0, 3)]] as const;
  const desk = new Desk();
  const { reply } = desk.reply(requestOf("discover", { giaddr: "10.0.0.3", options }));
  assert.deepEqual(reply.options.get(54), Uint8Array.of(10, 0, 0, 3));
  const ack = desk.reply(
    requestOf("request", { giaddr: "10.0.0.3", options, server: "10.0.0.3", requested: "10.0.0.10" }),
  );
  assert.equal(ack.type, "ack");
});

test("a client without an address is answered by broadcast to all ones, never to the subnet's broadcast address", () => {
  for (const isBroadcastWanted of [false, true]) {
    const { destination } = new Desk().reply(requestOf("discover", { isBroadcastWanted }));
    assert.deepEqual(destination, { address: ip("255.255.255.255"), port: "client" });
  }
});

test("client and machine identifiers come back; a malformed machine identifier does not", () => {
  const uuid = Uint8Array.from({ length: 17 }, (_, i) => i);
  const echoed = (options: readonly (readonly [number, Uint8Array])[]) =>
    new Desk().reply(requestOf("discover", { options })).reply.options;
  assert.deepEqual(echoed([[97, uuid]]).get(97), uuid);
  assert.equal(echoed([[97, uuid.subarray(1)]]).has(97), false);
  assert.deepEqual(echoed([[61, textBytes("me")]]).get(61), textBytes("me"));
});

test("the subnet's own facts are told", () => {
  const subnet = {
    ...subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.20"]),
    router: ip("10.0.0.254"),
    dnsServers: [ip("10.0.0.2"), ip("10.0.0.3")],
    ntpServers: [ip("10.0.0.4")],
    domainName: "rack1.example",
    mtu: 9000,
  };
  const { options } = new Desk({ subnets: [subnet], catalog: catalogOf({ kind: "serve", hostname: "m-1" }) }).reply(
    requestOf("discover"),
  ).reply;
  const told = Object.fromEntries(
    [1, 3, 6, 42, 15, 26, 12, 51, 58, 59].map((code) => [code, Array.from(options.get(code)!)]),
  );
  assert.deepEqual(told, {
    1: [255, 255, 255, 0],
    3: [10, 0, 0, 254],
    6: [10, 0, 0, 2, 10, 0, 0, 3],
    42: [10, 0, 0, 4],
    15: Array.from(textBytes("rack1.example")),
    26: [35, 40],
    12: Array.from(textBytes("m-1")),
    51: [0, 0, 14, 16],
    58: [0, 0, 7, 8],
    59: [0, 0, 12, 78],
  });
});

test("a reply keeps to the size that the client takes", () => {
  const size = (bytes: number) =>
    replyBytesMax(requestOf("discover", { options: [[57, Uint8Array.of(bytes >> 8, bytes & 255)]] }));
  assert.deepEqual([size(1260), size(100), size(65_000), replyBytesMax(requestOf("discover"))], [1232, 548, 1472, 548]);
});
