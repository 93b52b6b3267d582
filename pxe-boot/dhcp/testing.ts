// Builders for tests of DHCP: valid defaults, so that a test says only what matters to it.
import { type Ipv4, parseIpv4, parseIpv4Prefix } from "#lib/net/ipv4.ts";
import { macBytes, parseMac } from "#lib/net/mac.ts";
import type { Result } from "#lib/result.ts";
import type { Catalog, HostAnswer } from "../catalog.ts";
import { type Answer, answer, type Facts } from "./answer.ts";
import type { Holder } from "./client.ts";
import type { Lease } from "./lease.ts";
import { Leases } from "./leases.ts";
import { type DhcpMessage, type MessageType, messageTypes, noAddress } from "./message.ts";
import { optionCode } from "./option-codes.ts";
import { encodeSubOptions, textBytes, u32Bytes } from "./options.ts";
import type { Subnet } from "./subnet.ts";

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

export const ip = (text: string): Ipv4 => must(parseIpv4(text));

export const subnetOf = (name: string, prefix: string, range?: readonly [string, string]): Subnet => ({
  name,
  prefix: must(parseIpv4Prefix(prefix)),
  range: range && { first: ip(range[0]), last: ip(range[1]) },
  router: undefined,
  dnsServers: [],
  ntpServers: [],
  domainName: undefined,
  mtu: undefined,
  leaseSeconds: 3600,
  isAuthoritative: true,
});

export interface Said {
  readonly mac?: string;
  readonly ciaddr?: string;
  readonly giaddr?: string;
  readonly xid?: number;
  readonly isBroadcastWanted?: boolean;
  readonly requested?: string;
  readonly server?: string;
  readonly vendorClass?: string;
  readonly architecture?: number;
  readonly options?: readonly (readonly [number, Uint8Array])[];
}

export const aMac = "52:54:00:77:07:01";
export const anotherMac = "52:54:00:77:07:02";

export function requestOf(type: MessageType, said: Said = {}): DhcpMessage {
  const code = Number(Object.entries(messageTypes).find(([, name]) => name === type)![0]);
  const { requested, server, vendorClass, architecture } = said;
  return {
    op: "request",
    hardwareType: 1,
    hardwareAddress: macBytes(must(parseMac(said.mac ?? aMac))),
    hops: 0,
    xid: said.xid ?? 0x12345678,
    secs: 0,
    isBroadcastWanted: said.isBroadcastWanted ?? false,
    ciaddr: said.ciaddr === undefined ? noAddress : ip(said.ciaddr),
    yiaddr: noAddress,
    siaddr: noAddress,
    giaddr: said.giaddr === undefined ? noAddress : ip(said.giaddr),
    serverName: "",
    bootFile: "",
    options: new Map([
      [optionCode.messageType, Uint8Array.of(code)],
      ...(requested === undefined ? [] : [[optionCode.requestedAddress, u32Bytes(ip(requested))] as const]),
      ...(server === undefined ? [] : [[optionCode.serverId, u32Bytes(ip(server))] as const]),
      ...(vendorClass === undefined ? [] : [[optionCode.vendorClass, textBytes(vendorClass)] as const]),
      ...(architecture === undefined
        ? []
        : [[optionCode.clientArchitecture, Uint8Array.of(architecture >> 8, architecture & 255)] as const]),
      ...(said.options ?? []),
    ]),
  };
}

/** What QEMU's iPXE ROM says of itself. */
export const fromIpxe = (features: readonly [number, number][] = [[19, 1]]): Said => ({
  vendorClass: "PXEClient:Arch:00000:UNDI:002001",
  architecture: 0,
  options: [
    [optionCode.userClass, textBytes("iPXE")],
    [optionCode.ipxe, encodeSubOptions(features.map(([code, value]) => ({ code, bytes: Uint8Array.of(value) })))],
  ],
});

export const catalogOf = (
  host: HostAnswer | ((mac: string | undefined) => HostAnswer) = { kind: "serve" },
  reserved: readonly string[] = [],
): Catalog => ({
  host: ({ mac }) => (typeof host === "function" ? host(mac) : host),
  isReserved: (address) => reserved.some((text) => ip(text) === address),
});

export const leaseOf = (address: string, holder: string, state: Lease["state"], untilMs: number): Lease => ({
  address: ip(address),
  holder: holder as Holder,
  state,
  untilMs,
});

/** A server at 10.0.0.1 whose leases follow its answers, without a disk or a wire. */
export class Desk {
  readonly facts: Facts & { readonly leases: Leases };
  nowMs = 1_000_000;

  constructor(change: Partial<Facts> = {}, stored: readonly Lease[] = []) {
    const subnets = change.subnets ?? [subnetOf("pxe", "10.0.0.0/24", ["10.0.0.10", "10.0.0.20"])];
    this.facts = {
      settings: {
        address: ip("10.0.0.1"),
        offerMs: 60_000,
        declineMs: 600_000,
        httpBase: "http://10.0.0.1:8080/boot/",
      },
      catalog: catalogOf(),
      ...change,
      subnets,
      leases: new Leases(subnets, stored),
    };
  }

  ask(request: DhcpMessage): Answer {
    const answered = answer(request, this.facts, this.nowMs);
    if (answered.lease) this.facts.leases.put(answered.lease);
    return answered;
  }

  /** The reply, or an error that says why there is none. */
  reply(request: DhcpMessage): Extract<Answer, { kind: "reply" }> {
    const answered = this.ask(request);
    if (answered.kind === "silence") throw new Error(`silence (${answered.reason}): ${answered.why}`);
    return answered;
  }

  silence(request: DhcpMessage): string {
    const answered = this.ask(request);
    return answered.kind === "silence" ? answered.reason : `answered with ${answered.type}`;
  }
}
