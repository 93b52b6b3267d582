// One UDP datagram of a BMC (IPMI 2.0 §13.1.3, §13.6):
//
//   06 00 ff 07                       RMCP: version 1.0, no acknowledge, class IPMI
//   00 seq32 id32 len8 payload        outside a session (IPMI 1.5 framing): Get Channel Authentication Capabilities
//   06 type8 id32 seq32 len16 payload [ff… padLength8 07 code]     RMCP+; all numbers little-endian
//      │ bit 7 encrypted, bit 6 authenticated, bits 5:0 payload type
//
// The code covers everything from the byte after the RMCP header up to itself.
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import { fail, ok, type Result } from "#lib/result.ts";

export const payloadTypes = {
  ipmi: 0x00,
  sol: 0x01,
  openSessionRequest: 0x10,
  openSessionResponse: 0x11,
  rakp1: 0x12,
  rakp2: 0x13,
  rakp3: 0x14,
  rakp4: 0x15,
} as const;

export interface PlainPacket {
  readonly kind: "plain";
  readonly payload: Uint8Array;
}

export interface SessionPacket {
  readonly kind: "session";
  readonly payloadType: number;
  readonly isEncrypted: boolean;
  readonly isAuthenticated: boolean;
  /** The receiver's session id; 0 before the session stands. */
  readonly sessionId: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
  /** Everything after the RMCP header, for the check of the code at its end. */
  readonly body: Uint8Array;
  /** What follows the payload: padding, its length, next header, code. */
  readonly trailer: Uint8Array;
}

/** Nothing that this client asks for is longer. */
export const packetBytesMax = 1024;

const authenticationNone = 0x00;
const authenticationRmcpPlus = 0x06;

export function decodePacket(bytes: Uint8Array): Result<PlainPacket | SessionPacket> {
  if (bytes.length > packetBytesMax) return fail(`BMC packet of ${bytes.length} bytes exceeds ${packetBytesMax}`);
  return decoding<PlainPacket | SessionPacket>("BMC packet", () => {
    const reader = new Reader(bytes);
    const [version, , , messageClass] = reader.bytes(4);
    if (version !== 6) return fail(`BMC packet: RMCP version ${version}, 6 is wanted`);
    if (messageClass !== 7) return fail(`BMC packet: RMCP class ${messageClass}, 7 (IPMI) is wanted`);
    const authentication = reader.u8();
    if (authentication === authenticationNone) return decodePlain(reader);
    if (authentication === authenticationRmcpPlus) return decodeSession(reader, bytes);
    return fail(`BMC packet: authentication type ${authentication}, 0 or 6 is wanted`);
  });
}

function decodePlain(reader: Reader): Result<PlainPacket> {
  reader.skip(8);
  return ok({ kind: "plain", payload: reader.bytes(reader.u8()) });
}

function decodeSession(reader: Reader, bytes: Uint8Array): Result<SessionPacket> {
  const flags = reader.u8();
  const sessionId = reader.u32le();
  const sequence = reader.u32le();
  const payload = reader.bytes(reader.u16le());
  return ok({
    kind: "session",
    payloadType: flags & 0x3f,
    isEncrypted: (flags & 0x80) !== 0,
    isAuthenticated: (flags & 0x40) !== 0,
    sessionId,
    sequence,
    payload,
    body: bytes.subarray(4),
    trailer: reader.rest(),
  });
}

const rmcpHeader = Uint8Array.of(0x06, 0x00, 0xff, 0x07);

/** @param payload at most 255 bytes */
export const encodePlain = (payload: Uint8Array): Uint8Array =>
  new Writer(64).put(rmcpHeader).u8(authenticationNone).zeros(8).u8(payload.length).put(payload).bytes();

export interface SessionHeader {
  readonly payloadType: number;
  readonly sessionId: number;
  readonly sequence: number;
}

/** A packet of the handshake: neither encrypted nor authenticated. */
export const encodeHandshakePacket = (payloadType: number, payload: Uint8Array): Uint8Array =>
  new Writer()
    .put(rmcpHeader)
    .put(sessionHeader({ payloadType, sessionId: 0, sequence: 0 }, payload))
    .bytes();

/** A packet of a session; `sign` gives the code over what it is handed. */
export function encodeSigned(
  header: SessionHeader,
  encrypted: Uint8Array,
  sign: (content: Uint8Array) => Uint8Array,
): Uint8Array {
  const flagged = { ...header, payloadType: header.payloadType | 0xc0 };
  const content = new Writer().put(sessionHeader(flagged, encrypted));
  const pad = (4 - ((content.length + 2) % 4)) % 4;
  for (let i = 0; i < pad; i++) content.u8(0xff);
  const covered = content.u8(pad).u8(0x07).bytes();
  return new Writer().put(rmcpHeader).put(covered).put(sign(covered)).bytes();
}

function sessionHeader(header: SessionHeader, payload: Uint8Array): Uint8Array {
  return new Writer()
    .u8(authenticationRmcpPlus)
    .u8(header.payloadType)
    .u32le(header.sessionId)
    .u32le(header.sequence)
    .u16le(payload.length)
    .put(payload)
    .bytes();
}
