// What central gives into others' hands for a while and takes back: encrypted and authenticated by a stored key, so that any central
// can open it, and nothing has to be kept of it.
import { EncryptJWT, errors, type JWTPayload, jwtDecrypt } from "jose";
import type { SigningKey } from "#gen/holdfast/state/v1/token_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Keyring } from "./keyring.ts";

const algorithm = "dir";
const encryption = "A256GCM";

export class Seals {
  readonly #keyring: Keyring;
  readonly #clock: Clock;

  constructor(keyring: Keyring, clock: Clock) {
    this.#keyring = keyring;
    this.#clock = clock;
  }

  /**
   * @param purpose what is sealed for one is not opened for another
   * @param holder what must be known to open it, beside the stored key
   */
  async seal(purpose: string, content: JWTPayload, lifetimeMs: number, holder = ""): Promise<string> {
    const key = this.#keyring.today();
    return new EncryptJWT(content)
      .setProtectedHeader({ alg: algorithm, enc: encryption, kid: key.id })
      .setAudience(purpose)
      .setExpirationTime(Math.floor((this.#clock.wallMs() + lifetimeMs) / 1000))
      .encrypt(await sealKey(key, holder));
  }

  /** @throws Refusal "invalid" for what was not sealed for this purpose and holder, or is over */
  async open(purpose: string, text: string, holder = ""): Promise<JWTPayload> {
    const keyOf = async ({ kid }: { readonly kid?: string }) => {
      const key = this.#keyring.key(kid ?? "");
      if (key === undefined) throw new errors.JWEDecryptionFailed();
      return sealKey(key, holder);
    };
    try {
      const { payload } = await jwtDecrypt(text, keyOf, {
        audience: purpose,
        currentDate: new Date(this.#clock.wallMs()),
        keyManagementAlgorithms: [algorithm],
        contentEncryptionAlgorithms: [encryption],
      });
      return payload;
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
      const isOver = error instanceof errors.JWTExpired;
      throw new Refusal("invalid", isOver ? "it took too long: begin again" : "this was not begun here: begin again", {
        reason: isOver ? "SEAL_OVER" : "SEAL_BROKEN",
      });
    }
  }
}

/** A key for this alone, out of the one that signs. @source RFC 5869 */
async function sealKey(key: SigningKey, holder: string): Promise<Uint8Array> {
  const text = new TextEncoder();
  const secret = await crypto.subtle.importKey("raw", text.encode(key.privateJwk), "HKDF", false, ["deriveBits"]);
  const info = text.encode(`holdfast seal${holder}`);
  const parameters = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, secret, 256));
}
