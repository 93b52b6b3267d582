import type { Ipv4 } from "#lib/net/ipv4.ts";

/** A DHCP message as values. What the wire does to carry options (splitting, overload, padding) is the codec's business. */
export interface DhcpMessage {
  readonly op: "request" | "reply";
  /** ARP hardware type; 1 is Ethernet */
  readonly hardwareType: number;
  /** 0 to 16 bytes of `chaddr` */
  readonly hardwareAddress: Uint8Array;
  readonly hops: number;
  readonly xid: number;
  readonly secs: number;
  /** The client cannot hear unicast yet. */
  readonly isBroadcastWanted: boolean;
  readonly ciaddr: Ipv4;
  readonly yiaddr: Ipv4;
  readonly siaddr: Ipv4;
  readonly giaddr: Ipv4;
  /** Latin-1, at most 64 bytes; empty when absent or when options are stored there */
  readonly serverName: string;
  /** Latin-1, at most 128 bytes; empty when absent or when options are stored there */
  readonly bootFile: string;
  /** By code, in wire order; never 0 (pad), 52 (overload) or 255 (end) */
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** Option 53. @source RFC 2132 §9.6 */
export const messageTypes = {
  1: "discover",
  2: "offer",
  3: "request",
  4: "decline",
  5: "ack",
  6: "nak",
  7: "release",
  8: "inform",
} as const;

export type MessageType = (typeof messageTypes)[keyof typeof messageTypes];

export const noAddress = 0 as Ipv4;
export const everyone = 0xffffffff as Ipv4;
