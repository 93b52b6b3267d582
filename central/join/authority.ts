// Central's own certificate authority: one for all centrals of a store. It signs what agents show to central, and, where central
// has no other certificate, what central shows to everybody.

import { create } from "@bufbuild/protobuf";
import { type CertificateAuthority, CertificateAuthoritySchema } from "#gen/holdfast/state/v1/join_pb.ts";
import { bug } from "#lib/bug.ts";
import { hex } from "#lib/bytes.ts";
import type { Clock } from "#lib/clock.ts";
import { dayMs, hourMs } from "#lib/durations.ts";
import type { Random } from "#lib/random.ts";
import { certificate, keyIdOf, serialBytes, serialOf, type Use } from "#lib/x509/certificate.ts";
import type { Keys } from "#lib/x509/keys.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

const lifeMs = 20 * 365 * dayMs;
/** Clocks differ: what is signed now is good for those who think that it is earlier. */
const skewMs = hourMs;
const id = "1";

export interface AuthorityPorts {
  readonly state: State;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Issued {
  /** X.509, DER. */
  readonly certificate: Uint8Array;
  /** Hex. */
  readonly serial: string;
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string;
  /** Wall-clock milliseconds. */
  readonly issuedMs: number;
  readonly untilMs: number;
}

export class Authority {
  readonly #ports: AuthorityPorts;
  readonly #stored: CertificateAuthority;

  private constructor(ports: AuthorityPorts, stored: CertificateAuthority) {
    this.#ports = ports;
    this.#stored = stored;
  }

  /** Makes and stores it when there is none. Of several centrals that start at once, one wins. */
  static async open(ports: AuthorityPorts): Promise<Authority> {
    const { state } = ports;
    const present = () => state.get(kinds.certificateAuthority, id)?.value;
    if (present() === undefined) {
      const made = newAuthority(ports);
      await state.transact((tx) => {
        if (tx.get(kinds.certificateAuthority, id) === undefined) tx.put(kinds.certificateAuthority, id, made);
      });
    }
    return new Authority(ports, present() ?? bug("no certificate authority is stored"));
  }

  /** X.509, DER. */
  get certificate(): Uint8Array {
    return this.#stored.certificate;
  }

  issue(wanted: {
    readonly subject: string;
    /** SubjectPublicKeyInfo, DER. */
    readonly publicKey: Uint8Array;
    readonly use: Use;
    readonly lifeMs: number;
  }): Issued {
    const { keys, clock, random } = this.#ports;
    const { name, privateKey, keyId: issuerKeyId } = this.#stored;
    const serial = serialOf(random.bytes(serialBytes));
    const issuedMs = clock.wallMs();
    const untilMs = issuedMs + wanted.lifeMs;
    const keyId = keyIdOf(keys.sha256(wanted.publicKey));
    const issuer = { name, keyId: issuerKeyId };
    const made = certificate({ ...wanted, serial, keyId, issuer, fromMs: issuedMs - skewMs, untilMs }, (told) =>
      keys.sign(privateKey, told),
    );
    return { certificate: made, serial: hex(serial), fingerprint: hex(keys.sha256(made)), issuedMs, untilMs };
  }
}

function newAuthority({ keys, clock, random }: AuthorityPorts): CertificateAuthority {
  const { privateKey, publicKey } = keys.newPair();
  // Whoever knows two of them tells them apart.
  const name = `Holdfast ${hex(random.bytes(4))}`;
  const keyId = keyIdOf(keys.sha256(publicKey));
  const fromMs = clock.wallMs() - skewMs;
  const init = {
    serial: serialOf(random.bytes(serialBytes)),
    subject: name,
    publicKey,
    keyId,
    issuer: { name, keyId },
    fromMs,
    untilMs: fromMs + lifeMs,
    use: { kind: "authority" },
  } as const;
  const made = certificate(init, (told) => keys.sign(privateKey, told));
  return create(CertificateAuthoritySchema, { name, certificate: made, privateKey, keyId });
}
