// From nothing to a session: Open Session, RAKP 1/2, RAKP 3/4 (IPMI 2.0 §13.15). Pure: packets in, packets out. The
// caller repeats the last packet when nothing comes; what comes twice, late or for somebody else is ignored.
import { fail, ok, type Result } from "#lib/result.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { refusesCipher, rmcpStatus, rmcpStatusText } from "./completion-code.ts";
import { type BmcCrypto, sameCode } from "./crypto.ts";
import { decodeOpenSessionResponse, encodeOpenSessionRequest } from "./open-session.ts";
import { decodeRakp2, decodeRakp4, encodeRakp1, encodeRakp3 } from "./rakp.ts";
import { decodePacket, encodeHandshakePacket, payloadTypes } from "./rmcp.ts";
import { type SessionKeys, sessionKeys } from "./session-keys.ts";

export interface HandshakeInput {
  readonly suite: CipherSuite;
  readonly user: Uint8Array;
  /** Filled up with zeros to 20 bytes. */
  readonly password: Uint8Array;
  /** 3 operator, 4 administrator */
  readonly privilege: number;
  /** This side's session id: random, not 0. */
  readonly consoleId: number;
  /** 16 random bytes. */
  readonly consoleRandom: Uint8Array;
}

export type Handshake = HandshakeInput &
  (
    | { readonly phase: "opening" }
    | { readonly phase: "proving"; readonly bmcId: number }
    | { readonly phase: "agreeing"; readonly bmcId: number; readonly guid: Uint8Array; readonly keys: SessionKeys }
  );

export interface Established {
  readonly keys: SessionKeys;
  readonly consoleId: number;
  readonly bmcId: number;
  /** Of the managed system, as it came. */
  readonly guid: Uint8Array;
}

export type HandshakeStep =
  | { readonly kind: "send"; readonly state: Handshake; readonly packet: Uint8Array }
  | { readonly kind: "established"; readonly session: Established }
  | { readonly kind: "failed"; readonly failure: HandshakeFailure }
  | { readonly kind: "ignored"; readonly why: string };

export interface HandshakeFailure {
  /** `again`: both sides lost each other's thread (repeats crossed); a new handshake is worth trying. */
  readonly why: "bad-password" | "no-cipher" | "refused" | "again";
  readonly status: number;
  readonly text: string;
}

/** Look the user up by name, whatever privilege it has. */
const byNameOnly = 0x10;
const tags = { opening: 0, proving: 1, agreeing: 2 } as const;

export function startHandshake(input: HandshakeInput): { readonly state: Handshake; readonly packet: Uint8Array } {
  const request = { tag: tags.opening, privilege: input.privilege, consoleId: input.consoleId, ...input.suite };
  const packet = encodeHandshakePacket(payloadTypes.openSessionRequest, encodeOpenSessionRequest(request));
  return { state: { ...input, phase: "opening" }, packet };
}

const answers = {
  opening: payloadTypes.openSessionResponse,
  proving: payloadTypes.rakp2,
  agreeing: payloadTypes.rakp4,
} as const;

/** What one datagram does to a handshake. */
export function advance(crypto: BmcCrypto, state: Handshake, datagram: Uint8Array): HandshakeStep {
  const payload = payloadFor(state, datagram);
  if (!payload.ok) return { kind: "ignored", why: payload.error };
  switch (state.phase) {
    case "opening":
      return opened(state, payload.value);
    case "proving":
      return proven(crypto, state, payload.value);
    case "agreeing":
      return agreed(state, payload.value);
  }
}

function payloadFor(state: Handshake, datagram: Uint8Array): Result<Uint8Array> {
  const packet = decodePacket(datagram);
  if (!packet.ok) return packet;
  const p = packet.value;
  if (p.kind === "plain" || p.payloadType !== answers[state.phase] || p.sessionId !== 0)
    return fail(`not the answer to ${state.phase}`);
  if (p.payload[0] !== tags[state.phase]) return fail("answer to another request");
  return ok(p.payload);
}

function opened(state: Handshake, payload: Uint8Array): HandshakeStep {
  const decoded = decodeOpenSessionResponse(payload);
  if (!decoded.ok) return { kind: "ignored", why: decoded.error };
  const r = decoded.value;
  if (r.consoleId === undefined) {
    const why = refusesCipher(r.status) ? "no-cipher" : "refused";
    return failed(why, r.status, rmcpStatusText(r.status));
  }
  if (r.consoleId !== state.consoleId) return ignoredStranger;
  const { suite } = state;
  if (r.authentication !== suite.authentication || r.integrity !== suite.integrity || r.confidentiality !== 1)
    return failed("no-cipher", 0x11, `it answered cipher suite ${suite.id} with other algorithms`);
  const packet = encodeHandshakePacket(
    payloadTypes.rakp1,
    encodeRakp1({ ...state, tag: tags.proving, bmcId: r.bmcId, role: roleOf(state) }),
  );
  return { kind: "send", state: { ...state, phase: "proving", bmcId: r.bmcId }, packet };
}

const roleOf = (state: HandshakeInput): number => state.privilege | byNameOnly;

function proven(crypto: BmcCrypto, state: Handshake & { phase: "proving" }, payload: Uint8Array): HandshakeStep {
  const decoded = decodeRakp2(payload);
  if (!decoded.ok) return { kind: "ignored", why: decoded.error };
  const r = decoded.value;
  if (r.consoleId === undefined) return refusedProof(r.status);
  if (r.consoleId !== state.consoleId) return ignoredStranger;
  const { bmcRandom, guid } = r;
  const keys = sessionKeys(crypto, { ...state, bmcRandom, guid, role: roleOf(state) });
  if (!sameCode(r.code, keys.bmcCode))
    return failed("bad-password", rmcpStatus.wrongCode, "its proof does not fit the password");
  const packet = encodeHandshakePacket(
    payloadTypes.rakp3,
    encodeRakp3({ tag: tags.agreeing, status: 0, bmcId: state.bmcId, code: keys.consoleCode }),
  );
  return { kind: "send", state: { ...state, phase: "agreeing", guid, keys }, packet };
}

function refusedProof(status: number): HandshakeStep {
  const text = rmcpStatusText(status);
  if (status === rmcpStatus.unknownUser) return failed("bad-password", status, text);
  return failed(status === rmcpStatus.unknownSession ? "again" : "refused", status, text);
}

function agreed(state: Handshake & { phase: "agreeing" }, payload: Uint8Array): HandshakeStep {
  const decoded = decodeRakp4(payload);
  if (!decoded.ok) return { kind: "ignored", why: decoded.error };
  const r = decoded.value;
  // The BMC proved in RAKP 2 that it has the same password. If it refuses our proof, it made another random number
  // since: its answer to a repeated RAKP 1.
  if (r.consoleId === undefined) {
    const lost = r.status === rmcpStatus.wrongCode || r.status === rmcpStatus.unknownSession;
    return failed(lost ? "again" : "refused", r.status, rmcpStatusText(r.status));
  }
  if (r.consoleId !== state.consoleId) return ignoredStranger;
  if (!sameCode(r.code, state.keys.agreedCode))
    return failed("refused", rmcpStatus.wrongCode, "its last check value does not fit");
  const { keys, consoleId, bmcId, guid } = state;
  return { kind: "established", session: { keys, consoleId, bmcId, guid } };
}

const ignoredStranger: HandshakeStep = { kind: "ignored", why: "for another session" };

const failed = (why: HandshakeFailure["why"], status: number, text: string): HandshakeStep => ({
  kind: "failed",
  failure: { why, status, text },
});
