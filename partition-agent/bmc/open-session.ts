// RMCP+ Open Session (IPMI 2.0 §13.17, §13.18): the console proposes one algorithm of each kind, the BMC takes them and
// names its session id.
//
//   request    tag8 privilege8 00 00  consoleId32  (kind8 00 00 08 algorithm8 00 00 00) × 3
//   response   tag8 status8 privilege8 00  consoleId32  [bmcId32  (kind8 00 00 08 algorithm8 00 00 00) × 3]
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import { ok, type Result } from "#lib/result.ts";

export interface Algorithms {
  readonly authentication: number;
  readonly integrity: number;
  readonly confidentiality: number;
}

export interface OpenSessionRequest extends Algorithms {
  readonly tag: number;
  /** 0 asks for the highest that the algorithms allow. */
  readonly privilege: number;
  readonly consoleId: number;
}

export type OpenSessionResponse =
  | (Algorithms & {
      readonly tag: number;
      readonly status: 0;
      readonly privilege: number;
      readonly consoleId: number;
      readonly bmcId: number;
    })
  | RefusedStep;

/** How a BMC refuses a step of the handshake: nothing but the reason can be relied on. */
export interface RefusedStep {
  readonly tag: number;
  /** Not 0; see rmcpStatusText. */
  readonly status: number;
  readonly consoleId: undefined;
}

export const encodeOpenSessionRequest = (r: OpenSessionRequest): Uint8Array =>
  new Writer().u8(r.tag).u8(r.privilege).u16(0).u32le(r.consoleId).put(algorithmRecords(r)).bytes();

export function encodeOpenSessionResponse(r: OpenSessionResponse): Uint8Array {
  const writer = new Writer().u8(r.tag).u8(r.status);
  if (r.consoleId === undefined) return writer.zeros(6).bytes();
  return writer.u8(r.privilege).u8(0).u32le(r.consoleId).u32le(r.bmcId).put(algorithmRecords(r)).bytes();
}

export function decodeOpenSessionRequest(bytes: Uint8Array): Result<OpenSessionRequest> {
  return decoding("Open Session request", () => {
    const reader = new Reader(bytes);
    const tag = reader.u8();
    const privilege = reader.u8() & 0x0f;
    reader.skip(2);
    return ok({ tag, privilege, consoleId: reader.u32le(), ...readAlgorithms(reader) });
  });
}

export function decodeOpenSessionResponse(bytes: Uint8Array): Result<OpenSessionResponse> {
  return decoding<OpenSessionResponse>("Open Session response", () => {
    const reader = new Reader(bytes);
    const tag = reader.u8();
    const status = reader.u8();
    if (status !== 0) return ok({ tag, status, consoleId: undefined });
    const privilege = reader.u8() & 0x0f;
    reader.skip(1);
    const consoleId = reader.u32le();
    const bmcId = reader.u32le();
    return ok({ tag, status, privilege, consoleId, bmcId, ...readAlgorithms(reader) });
  });
}

function algorithmRecords(a: Algorithms): Uint8Array {
  const writer = new Writer(24);
  for (const [kind, algorithm] of [a.authentication, a.integrity, a.confidentiality].entries())
    writer.u8(kind).u16(0).u8(8).u8(algorithm).zeros(3);
  return writer.bytes();
}

function readAlgorithms(reader: Reader): Algorithms {
  const next = (): number => (reader.bytes(8)[4] as number) & 0x3f;
  return { authentication: next(), integrity: next(), confidentiality: next() };
}
