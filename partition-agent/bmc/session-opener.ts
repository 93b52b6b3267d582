import type { Random } from "#lib/random.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { type ChannelAbilities, closeSession, getChannelAuthCapabilities } from "./commands.ts";
import type { BmcCrypto } from "./crypto.ts";
import { BadPassword, BmcMisbehaved, BmcRefused } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import {
  advance,
  type Established,
  type Handshake,
  type HandshakeFailure,
  type HandshakeStep,
  startHandshake,
} from "./handshake.ts";
import { decodeResponse, encodeRequest } from "./ipmi-message.ts";
import { decodePacket, encodePlain } from "./rmcp.ts";
import { Session } from "./session.ts";

export interface Login {
  /** `host:port`, for error texts. */
  readonly address: string;
  readonly user: Uint8Array;
  /** Filled up with zeros to 20 bytes. */
  readonly password: Uint8Array;
  /** 3 operator, 4 administrator */
  readonly privilege: number;
}

export interface OpenPorts {
  readonly crypto: BmcCrypto;
  readonly random: Random;
  readonly exchange: Exchange;
}

const opening = "open session";
const handshakesMax = 3;

/** Whether the BMC speaks IPMI 2.0 at all; costs no session, so it is asked first. */
export async function checkAbilities(
  ports: OpenPorts,
  login: Login,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const command = getChannelAuthCapabilities(login.privilege);
  const sequence = ports.random.below(64);
  const request = encodePlain(
    encodeRequest({ netFn: command.netFn, command: command.code, sequence, content: command.content }),
  );
  const answer = await ports.exchange.ask(
    { datagram: () => request, answer: (d) => undefinedUnlessOk(abilities(d, sequence)), deadlineMs },
    signal,
  );
  if (answer.completionCode !== 0) return;
  const decoded = command.decode(answer.content);
  if (!decoded.ok) throw new BmcMisbehaved(login.address, command.name, `${decoded.error}; update its firmware`);
  refuseUnable(login.address, command.name, decoded.value);
}

function refuseUnable(address: string, command: string, abilities: ChannelAbilities): void {
  if (!abilities.speaksRmcpPlus)
    throw new BmcRefused(address, command, {
      completionCode: 0,
      text: "it does not speak IPMI 2.0 over LAN; switch that on in its settings or update its firmware",
    });
  if (abilities.wantsChannelKey)
    throw new BmcRefused(address, command, {
      completionCode: 0,
      text: "its channel wants a K_g key; clear that key in its settings",
    });
}

function abilities(datagram: Uint8Array, sequence: number) {
  const packet = decodePacket(datagram);
  if (!packet.ok) return packet;
  if (packet.value.kind !== "plain") return fail("of a session");
  const response = decodeResponse(packet.value.payload);
  if (!response.ok) return response;
  const { netFn, command, sequence: answered } = response.value;
  if (netFn !== 7 || command !== 0x38 || answered !== sequence) return fail("answer to another request");
  return ok(response.value);
}

const undefinedUnlessOk = <T>(result: Result<T>): T | undefined => (result.ok ? result.value : undefined);

/**
 * Opens a session with the first suite that the BMC takes.
 * @throws Silence, BadPassword, BmcRefused
 */
export async function establish(
  ports: OpenPorts,
  login: Login,
  suites: readonly CipherSuite[],
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<Established> {
  let handshakes = 0;
  for (const [index, suite] of suites.entries()) {
    for (;;) {
      handshakes += 1;
      const step = await handshake(ports, login, suite, deadlineMs, signal);
      if (step.kind === "established") return step.session;
      const { failure } = step;
      if (failure.why === "again" && handshakes < handshakesMax) continue;
      if (failure.why === "no-cipher" && index < suites.length - 1) break;
      throw failureError(login.address, suites, failure);
    }
  }
  throw new BmcRefused(login.address, opening, { completionCode: 0x11, text: "no cipher suite is configured" });
}

function failureError(address: string, suites: readonly CipherSuite[], failure: HandshakeFailure): Error {
  switch (failure.why) {
    case "bad-password":
      return new BadPassword(
        address,
        opening,
        `user or password is wrong (${failure.text}); correct the credentials, or reset them at the BMC`,
      );
    case "no-cipher": {
      const ids = suites.map((s) => s.id).join(" and ");
      const text = `${failure.text}; enable one of cipher suites ${ids} for the user's privilege in its settings`;
      return new BmcRefused(address, opening, { completionCode: failure.status, text });
    }
    case "again":
    case "refused":
      return new BmcRefused(address, opening, { completionCode: failure.status, text: failure.text });
  }
}

async function handshake(
  ports: OpenPorts,
  login: Login,
  suite: CipherSuite,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<HandshakeStep & { readonly kind: "established" | "failed" }> {
  const consoleId = 1 + ports.random.below(0x7fffffff);
  let { state, packet } = startHandshake({ ...login, suite, consoleId, consoleRandom: ports.random.bytes(16) });
  try {
    for (;;) {
      const sent = state;
      const datagram = packet;
      const step = await ports.exchange.ask(
        { datagram: () => datagram, answer: (d) => unlessIgnored(advance(ports.crypto, sent, d)), deadlineMs },
        signal,
      );
      if (step.kind !== "send") return step;
      ({ state, packet } = step);
    }
  } catch (error) {
    closeUnheard(ports, state);
    throw error;
  }
}

/** Our last proof may have arrived though its answer did not: then the BMC holds a session that nobody else would close. */
function closeUnheard(ports: OpenPorts, state: Handshake): void {
  if (state.phase !== "agreeing") return;
  const session = new Session(ports.crypto, state);
  const packet = session.packet(closeSession(state.bmcId), session.nextRequest(), ports.random.bytes(16));
  ports.exchange.socket?.send(packet);
}

const unlessIgnored = (step: HandshakeStep): Exclude<HandshakeStep, { readonly kind: "ignored" }> | undefined =>
  step.kind === "ignored" ? undefined : step;
