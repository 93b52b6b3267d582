import { type Ipv4, netmask } from "#lib/net/ipv4.ts";
import type { BootFile } from "./boot-file.ts";
import { type DhcpMessage, everyone, type MessageType, messageTypes, noAddress } from "./message.ts";
import { ipxeCode, optionCode } from "./option-codes.ts";
import { encodeSubOptions, textBytes, u16Option, u32Bytes } from "./options.ts";
import type { Place } from "./place.ts";
import type { Subnet } from "./subnet.ts";

/** Where a reply goes. Never a subnet's broadcast address: EDK2 ignores what comes to it. */
export interface Destination {
  readonly address: Ipv4;
  readonly port: "server" | "client";
}

/** What an OFFER or ACK says. */
export interface Terms {
  readonly type: "offer" | "ack";
  readonly address: Ipv4;
  /** An INFORM is answered without lease times. */
  readonly hasLease: boolean;
  readonly hostname: string | undefined;
  readonly boot: BootFile | undefined;
  readonly isIpxe: boolean;
  readonly nextServer: Ipv4;
}

const bootFieldBytesMax = 127;

/** @source RFC 2131 §4.3.1, table 3 */
export function termsReply(request: DhcpMessage, place: Place, terms: Terms): DhcpMessage {
  const { boot } = terms;
  const options = new Map<number, Uint8Array>([
    [optionCode.messageType, Uint8Array.of(codeOf(terms.type))],
    [optionCode.serverId, u32Bytes(place.serverId)],
    ...(terms.hasLease ? leaseOptions(place.subnet) : []),
    ...subnetOptions(place.subnet),
  ]);
  if (terms.hostname !== undefined && /^[A-Za-z0-9.-]{1,253}$/.test(terms.hostname))
    options.set(optionCode.hostname, textBytes(terms.hostname));
  if (boot?.tftpServer !== undefined) options.set(optionCode.tftpServerName, textBytes(boot.tftpServer));
  if (boot) options.set(optionCode.bootFile, textBytes(boot.name));
  // For PXEClient option 60 is left out on purpose: with it and without option 43, EDK2 asks port 4011 and gives up after 10 s.
  if (boot?.isHttpBoot) options.set(optionCode.vendorClass, textBytes("HTTPClient"));
  if (terms.isIpxe)
    options.set(optionCode.ipxe, encodeSubOptions([{ code: ipxeCode.noProxyDhcp, bytes: Uint8Array.of(1) }]));
  echo(request, options);
  const canHoldName = boot !== undefined && /^[\x20-\x7e]*$/.test(boot.name) && boot.name.length <= bootFieldBytesMax;
  return {
    ...headOf(request),
    isBroadcastWanted: request.isBroadcastWanted,
    ciaddr: terms.type === "ack" ? request.ciaddr : noAddress,
    yiaddr: terms.address,
    siaddr: boot ? terms.nextServer : noAddress,
    // U-Boot reads the BOOTP field only.
    bootFile: canHoldName ? boot.name : "",
    options,
  };
}

/** @source RFC 2131 §4.3.2, table 3 */
export function nakReply(request: DhcpMessage, place: Place, why: string): DhcpMessage {
  const options = new Map<number, Uint8Array>([
    [optionCode.messageType, Uint8Array.of(codeOf("nak"))],
    [optionCode.serverId, u32Bytes(place.serverId)],
    [optionCode.message, textBytes(why)],
  ]);
  echo(request, options);
  return {
    ...headOf(request),
    // A relay must broadcast it: the client's own address is the thing that is wrong.
    isBroadcastWanted: request.isBroadcastWanted || request.giaddr !== noAddress,
    ciaddr: noAddress,
    yiaddr: noAddress,
    siaddr: noAddress,
    bootFile: "",
    options,
  };
}

/**
 * A client without an address gets its reply by broadcast: unicast would need its ARP entry, which only raw sockets can make.
 * @source RFC 2131 §4.1
 */
export function destinationOf(request: DhcpMessage, type: "offer" | "ack" | "nak"): Destination {
  if (request.giaddr !== noAddress) return { address: request.giaddr, port: "server" };
  if (request.ciaddr !== noAddress && type !== "nak") return { address: request.ciaddr, port: "client" };
  return { address: everyone, port: "client" };
}

/** Bytes of a DHCP message that the client takes. @source RFC 2132 §9.10; 28 bytes are IP and UDP headers */
export function replyBytesMax(request: DhcpMessage): number {
  const told = u16Option(request.options, optionCode.messageSizeMax) ?? 576;
  return Math.min(Math.max(told, 576), 1500) - 28;
}

const headOf = (request: DhcpMessage) => ({
  op: "reply" as const,
  hardwareType: request.hardwareType,
  hardwareAddress: request.hardwareAddress,
  hops: 0,
  xid: request.xid,
  secs: 0,
  giaddr: request.giaddr,
  serverName: "",
});

function leaseOptions({ leaseSeconds }: Subnet): readonly (readonly [number, Uint8Array])[] {
  return [
    [optionCode.leaseSeconds, u32Bytes(leaseSeconds)],
    [optionCode.renewalSeconds, u32Bytes(Math.floor(leaseSeconds / 2))],
    [optionCode.rebindingSeconds, u32Bytes(Math.floor((leaseSeconds * 7) / 8))],
  ];
}

function subnetOptions(subnet: Subnet): readonly (readonly [number, Uint8Array])[] {
  const list = (code: number, addresses: readonly Ipv4[]) =>
    addresses.length > 0 ? [[code, Uint8Array.from(addresses.flatMap((ip) => [...u32Bytes(ip)]))] as const] : [];
  return [
    [optionCode.subnetMask, u32Bytes(netmask(subnet.prefix.length))],
    ...list(optionCode.router, subnet.router === undefined ? [] : [subnet.router]),
    ...list(optionCode.dnsServer, subnet.dnsServers),
    ...list(optionCode.ntpServer, subnet.ntpServers),
    ...(subnet.domainName === undefined ? [] : [[optionCode.domainName, textBytes(subnet.domainName)] as const]),
    ...(subnet.mtu === undefined
      ? []
      : [[optionCode.interfaceMtu, Uint8Array.of(subnet.mtu >> 8, subnet.mtu & 255)] as const]),
  ];
}

/** Client identifier (RFC 6842), machine identifier (RFC 4578 §2.3) and, last and unchanged, the relay's option (RFC 3046 §2.2). */
function echo(request: DhcpMessage, options: Map<number, Uint8Array>): void {
  for (const code of [optionCode.clientId, optionCode.clientUuid, optionCode.relayAgent]) {
    const value = request.options.get(code);
    const isRefused = code === optionCode.clientUuid && (value?.length !== 17 || value[0] !== 0);
    if (value && !isRefused) options.set(code, value);
  }
}

function codeOf(type: MessageType): number {
  return Number(Object.entries(messageTypes).find(([, name]) => name === type)![0]);
}
