// An IPMI message on the LAN (IPMI 2.0 §13.8, figure 13-4). Request and response differ in one byte:
//
//   to8 netFn<<2 sum8   from8 sequence<<2 command8 [completionCode8] content… sum8
//
// Each sum brings the bytes before it, back to the last sum, to 0 modulo 256. A response's network function is the
// request's plus one.
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import { fail, ok, type Result } from "#lib/result.ts";

export interface IpmiRequest {
  readonly netFn: number;
  readonly command: number;
  /** 0 to 63; the response carries it back. */
  readonly sequence: number;
  readonly content: Uint8Array;
}

export interface IpmiResponse extends IpmiRequest {
  readonly completionCode: number;
}

const bmcAddress = 0x20;
const consoleAddress = 0x81;

export const encodeRequest = (request: IpmiRequest): Uint8Array =>
  encode(bmcAddress, consoleAddress, request, request.content);

export function encodeResponse(response: IpmiResponse): Uint8Array {
  const content = new Writer(64).u8(response.completionCode).put(response.content).bytes();
  return encode(consoleAddress, bmcAddress, response, content);
}

export function decodeRequest(bytes: Uint8Array): Result<IpmiRequest> {
  return decoding("IPMI request", () => decode(bytes));
}

export function decodeResponse(bytes: Uint8Array): Result<IpmiResponse> {
  return decoding("IPMI response", () => {
    const message = decode(bytes);
    if (!message.ok) return message;
    const reader = new Reader(message.value.content);
    const completionCode = reader.u8();
    return ok({ ...message.value, completionCode, content: reader.rest() });
  });
}

function encode(to: number, from: number, message: IpmiRequest, content: Uint8Array): Uint8Array {
  const head = Uint8Array.of(to, message.netFn << 2);
  const body = new Writer(64)
    .u8(from)
    .u8(message.sequence << 2)
    .u8(message.command)
    .put(content)
    .bytes();
  return new Writer(64).put(head).u8(checksum(head)).put(body).u8(checksum(body)).bytes();
}

function decode(bytes: Uint8Array): Result<IpmiRequest> {
  const reader = new Reader(bytes);
  const head = reader.bytes(3);
  const body = reader.rest();
  if (checksum(head) !== 0) return fail("IPMI message: the first checksum does not fit");
  if (body.length < 4) return fail(`IPMI message: ${bytes.length} bytes, at least 7 are wanted`);
  if (checksum(body) !== 0) return fail("IPMI message: the second checksum does not fit");
  return ok({
    netFn: (head[1] as number) >> 2,
    sequence: (body[1] as number) >> 2,
    command: body[2] as number,
    content: body.subarray(3, -1),
  });
}

const checksum = (bytes: Uint8Array): number => -bytes.reduce((sum, b) => sum + b, 0) & 0xff;
