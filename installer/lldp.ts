import { decoding, hex, Reader } from "#lib/bytes.ts";
import { macOf } from "#lib/net/mac.ts";
import { fail, ok, type Result } from "#lib/result.ts";

// LLDP frames as tcpdump keeps them: a pcap file of Ethernet frames.
//
//   pcap: magic u32 · version 2×u16 · 2×u32 · snaplen u32 · link type u32, then per frame: seconds u32 · fraction u32 · kept u32 · length u32 · bytes
//   frame: destination 6 · source 6 · type 0x88cc u16, then TLVs: type 7 bits, length 9 bits, value
//
// Source: pcap-savefile(5); IEEE 802.1AB-2016 §8.4, §8.5.

/** A switch that told us where our cable ends. */
export interface Neighbour {
  /** Chassis id when that is a MAC address, else the address that the frame came from. */
  readonly mac: string;
  /** Port id as text: an interface name, or a MAC address. */
  readonly port: string;
  readonly portDescription: string;
  readonly systemName: string;
}

const PCAP_MAGIC = new Set([0xd4c3b2a1, 0x4d3cb2a1]);
const framesMax = 256;
const tlvsMax = 128;

/** Frames of a pcap file, little endian as tcpdump writes it on x86. A last frame that is cut short is left out: tcpdump still writes. */
export function pcapFrames(file: Uint8Array): Result<readonly Uint8Array[]> {
  return decoding("pcap file", () => {
    const r = new Reader(file);
    const magic = r.u32();
    if (!PCAP_MAGIC.has(magic)) return fail(`pcap file: magic ${magic.toString(16)} is not known`);
    r.skip(20);
    const frames: Uint8Array[] = [];
    while (r.left >= 16 && frames.length < framesMax) {
      r.skip(8);
      const kept = r.u32le();
      r.skip(4);
      if (kept > r.left) break;
      frames.push(r.bytes(kept));
    }
    return ok(frames);
  });
}

/** @param frame from the destination address on */
export function decodeLldp(frame: Uint8Array): Result<Neighbour> {
  return decoding("LLDP frame", () => {
    const r = new Reader(frame);
    r.skip(6);
    const source = macOf(r.bytes(6));
    const type = r.u16();
    if (type !== 0x88cc) return fail(`LLDP frame: Ethernet type 0x${type.toString(16)} is not 0x88cc`);
    const seen = { mac: source as string, port: "", portDescription: "", systemName: "" };
    for (let count = 0; count < tlvsMax && r.left >= 2; count++) {
      const head = r.u16();
      const value = r.bytes(head & 0x1ff);
      const kind = head >>> 9;
      if (kind === 0) break;
      if (kind === 1) seen.mac = chassisMac(value) ?? source;
      if (kind === 2) seen.port = portText(value);
      if (kind === 4) seen.portDescription = printable(value);
      if (kind === 5) seen.systemName = printable(value);
    }
    return seen.port === "" ? fail("LLDP frame: no port id") : ok(seen);
  });
}

/** The neighbours in a capture, one per switch and port, in the order seen. */
export function neighbours(capture: Uint8Array): readonly Neighbour[] {
  const frames = pcapFrames(capture);
  if (!frames.ok) return [];
  const found = new Map<string, Neighbour>();
  for (const frame of frames.value) {
    const n = decodeLldp(frame);
    if (n.ok) found.set(`${n.value.mac} ${n.value.port}`, n.value);
  }
  return [...found.values()];
}

/** Subtype 4 of the chassis id is a MAC address. @source IEEE 802.1AB-2016 table 8-2 */
const chassisMac = (value: Uint8Array): string | undefined =>
  value[0] === 4 && value.length === 7 ? macOf(value.subarray(1)) : undefined;

/** Subtype 3 of the port id is a MAC address, 4 a network address; the others are text. @source IEEE 802.1AB-2016 table 8-3 */
function portText(value: Uint8Array): string {
  const rest = value.subarray(1);
  if (value[0] === 3 && rest.length === 6) return macOf(rest);
  return value[0] === 4 ? hex(rest) : printable(rest);
}

/** Switches end names with zeros, and names go into logs. */
const printable = (value: Uint8Array): string =>
  new TextDecoder()
    .decode(value)
    .replace(/\p{Cc}/gu, "")
    .trim()
    .slice(0, 128);
