import { bug } from "#lib/bug.ts";
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import type { Ipv4 } from "#lib/net/ipv4.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { DhcpMessage } from "./message.ts";
import { decodeArea, joinPieces, type Piece, splitPieces } from "./option-area.ts";
import { optionCode } from "./option-codes.ts";

// Wire form, RFC 2131 §2 (bytes):
//   0 op, 1 htype, 2 hlen, 3 hops | 4 xid | 8 secs, 10 flags | 12 ciaddr | 16 yiaddr | 20 siaddr | 24 giaddr
//   28 chaddr (16) | 44 sname (64) | 108 file (128) | 236 magic cookie | 240 options …
// Option 52 says that `file` (1), `sname` (2) or both (3) hold options too; they are read in the order options, file, sname.

const magicCookie = 0x63825363;
const hardwareAddressBytesMax = 16;
const serverNameBytes = 64;
const bootFileBytes = 128;
const fixedBytes = 240;
/** The smallest message that every BOOTP relay passes on. @source RFC 1542 §2.1 */
const messageBytesMin = 300;
const inFile = 1;
const inServerName = 2;

export function decodeDhcp(bytes: Uint8Array): Result<DhcpMessage> {
  if (bytes.length < fixedBytes) return fail(`dhcp message: ${bytes.length} bytes are fewer than ${fixedBytes}`);
  return decoding("dhcp message", () => {
    const r = new Reader(bytes);
    const op = r.u8();
    if (op !== 1 && op !== 2) return fail(`dhcp message: op ${op} is neither 1 nor 2`);
    const hardwareType = r.u8();
    const hardwareBytes = r.u8();
    if (hardwareBytes > hardwareAddressBytesMax)
      return fail(`dhcp message: hardware address of ${hardwareBytes} bytes exceeds ${hardwareAddressBytesMax}`);
    const head = { hops: r.u8(), xid: r.u32(), secs: r.u16(), isBroadcastWanted: (r.u16() & 0x8000) !== 0 };
    const [ciaddr, yiaddr, siaddr, giaddr] = [r.u32() as Ipv4, r.u32() as Ipv4, r.u32() as Ipv4, r.u32() as Ipv4];
    const hardwareAddress = r.bytes(hardwareAddressBytesMax).subarray(0, hardwareBytes);
    const serverName = r.bytes(serverNameBytes);
    const bootFile = r.bytes(bootFileBytes);
    if (r.u32() !== magicCookie) return fail("dhcp message: no magic cookie, so plain BOOTP");
    const body = decodeOptions(r.rest(), bootFile, serverName);
    if (!body.ok) return body;
    return ok({
      op: op === 1 ? "request" : "reply",
      hardwareType,
      hardwareAddress,
      ...head,
      ciaddr,
      yiaddr,
      siaddr,
      giaddr,
      serverName: body.value.overload & inServerName ? "" : textOf(serverName),
      bootFile: body.value.overload & inFile ? "" : textOf(bootFile),
      options: body.value.options,
    });
  });
}

function decodeOptions(
  area: Uint8Array,
  bootFile: Uint8Array,
  serverName: Uint8Array,
): Result<{ readonly options: ReadonlyMap<number, Uint8Array>; readonly overload: number }> {
  const first = decodeArea("options", area);
  if (!first.ok) return first;
  const overload = first.value.find((piece) => piece.code === optionCode.overload)?.bytes[0] ?? 0;
  const file = overload & inFile ? decodeArea("file field", bootFile) : ok([]);
  if (!file.ok) return file;
  const name = overload & inServerName ? decodeArea("sname field", serverName) : ok([]);
  if (!name.ok) return name;
  const options = joinPieces([...first.value, ...file.value, ...name.value]);
  options.delete(optionCode.overload);
  return ok({ options, overload });
}

/**
 * @param sizeBytesMax what the receiver takes (option 57, less IP and UDP headers). Options that do not fit go to the empty
 * `file` and `sname` fields; what fits nowhere makes the message longer than that.
 */
export function encodeDhcp(message: DhcpMessage, sizeBytesMax = 1472): Uint8Array {
  if (message.hardwareAddress.length > hardwareAddressBytesMax) bug("hardware address exceeds 16 bytes");
  const areas = layOut(message, sizeBytesMax);
  const w = new Writer(576);
  w.u8(message.op === "request" ? 1 : 2).u8(message.hardwareType);
  w.u8(message.hardwareAddress.length).u8(message.hops);
  w.u32(message.xid)
    .u16(message.secs)
    .u16(message.isBroadcastWanted ? 0x8000 : 0);
  w.u32(message.ciaddr).u32(message.yiaddr).u32(message.siaddr).u32(message.giaddr);
  putPadded(w, message.hardwareAddress, hardwareAddressBytesMax);
  putPadded(w, areas.serverName ?? bytesOf(message.serverName), serverNameBytes);
  putPadded(w, areas.bootFile ?? bytesOf(message.bootFile), bootFileBytes);
  w.u32(magicCookie).put(areas.options);
  return w.zeros(Math.max(0, messageBytesMin - w.length)).bytes();
}

interface Areas {
  readonly options: Uint8Array;
  readonly bootFile: Uint8Array | undefined;
  readonly serverName: Uint8Array | undefined;
}

function layOut(message: DhcpMessage, sizeBytesMax: number): Areas {
  const pieces = Array.from(splitPieces(message.options));
  const room = sizeBytesMax - fixedBytes;
  if (sizeOf(pieces) + 1 <= room || (message.bootFile !== "" && message.serverName !== "")) {
    return { options: areaOf(pieces), bootFile: undefined, serverName: undefined };
  }
  const left = [...pieces];
  const main = takeWhileFits(left, room - 4);
  const file = message.bootFile === "" ? takeWhileFits(left, bootFileBytes - 1) : [];
  const name = message.serverName === "" ? takeWhileFits(left, serverNameBytes - 1) : [];
  const overload = (file.length > 0 ? inFile : 0) | (name.length > 0 ? inServerName : 0);
  // Pieces of one option must stay in order, and the main area is read first: what fits nowhere means no overload at all.
  if (left.length > 0 || overload === 0) return { options: areaOf(pieces), bootFile: undefined, serverName: undefined };
  return {
    options: areaOf([{ code: optionCode.overload, bytes: Uint8Array.of(overload) }, ...main]),
    bootFile: file.length > 0 ? areaOf(file) : undefined,
    serverName: name.length > 0 ? areaOf(name) : undefined,
  };
}

const sizeOf = (pieces: readonly Piece[]): number => pieces.reduce((sum, { bytes }) => sum + 2 + bytes.length, 0);

function takeWhileFits(pieces: Piece[], room: number): readonly Piece[] {
  let used = 0;
  let count = 0;
  for (const { bytes } of pieces) {
    used += 2 + bytes.length;
    if (used > room) break;
    count++;
  }
  return pieces.splice(0, count);
}

function areaOf(pieces: readonly Piece[]): Uint8Array {
  const w = new Writer(sizeOf(pieces) + 1);
  for (const { code, bytes } of pieces) w.u8(code).u8(bytes.length).put(bytes);
  return w.u8(optionCode.end).bytes();
}

function putPadded(w: Writer, bytes: Uint8Array, size: number): void {
  if (bytes.length > size) bug(`dhcp field of ${bytes.length} bytes exceeds ${size}`);
  w.put(bytes).zeros(size - bytes.length);
}

function textOf(field: Uint8Array): string {
  const end = field.indexOf(0);
  return String.fromCharCode(...field.subarray(0, end < 0 ? field.length : end));
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0) & 255);
