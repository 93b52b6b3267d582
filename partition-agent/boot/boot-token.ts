// What an installer and an installed system show to prove which machine they are. Signed by the agent, checked by the agent:
// no part of it needs central.
import { equalBytes } from "#lib/bytes.ts";
import type { Disk } from "#lib/disk.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";

/** One boot into the installer. */
export interface BootClaims {
  readonly mac: string;
  /** Absent while the machine behind the MAC is not known. */
  readonly uuid: string | undefined;
  /** Id of this boot. */
  readonly boot: string;
  /** What booted, where it told. */
  readonly firmware?: Firmware | undefined;
}

export type Firmware = "pcbios" | "efi";

/** An installed system of one allocation. */
export interface HomeClaims {
  readonly uuid: string;
  readonly epoch: bigint;
}

/** Signs what the agent claims of a machine, for one use. */
export interface TokenSigner {
  sign(claims: Readonly<Record<string, string>>, audience: string): Promise<string>;
  /** @throws when it was not signed by this key for this audience; the message says which */
  verify(token: string, audience: string): Promise<Readonly<Record<string, unknown>>>;
  /** What a token claims, whoever made it; undefined for what is no token. */
  read(token: string): Readonly<Record<string, unknown>> | undefined;
  /** SHA-256. */
  digest(token: string): Promise<Uint8Array>;
}

const bootAudience = "holdfast-boot";
const homeAudience = "holdfast-phone-home";

export class BootTokens {
  readonly #signer: TokenSigner;

  private constructor(signer: TokenSigner) {
    this.#signer = signer;
  }

  /** The key is made once and kept on the agent's disk. @param signerOf by a key of 32 bytes */
  static async open(disk: Disk, random: Random, signerOf: (key: Uint8Array) => TokenSigner): Promise<BootTokens> {
    const stored = disk.get("secret", "boot-token-key");
    if (stored) return new BootTokens(signerOf(stored));
    const key = random.bytes(32);
    await disk.write([{ table: "secret", key: "boot-token-key", value: key }]);
    return new BootTokens(signerOf(key));
  }

  forBoot({ mac, uuid, boot, firmware }: BootClaims): Promise<string> {
    return this.#signer.sign(
      { mac, boot, ...(uuid !== undefined && { uuid }), ...(firmware && { firmware }) },
      bootAudience,
    );
  }

  /** @returns the token, and the digest by which it is known when the key is lost */
  async forHome({ uuid, epoch }: HomeClaims): Promise<{ readonly token: string; readonly digest: Uint8Array }> {
    const token = await this.#signer.sign({ uuid, epoch: `${epoch}` }, homeAudience);
    return { token, digest: await this.#signer.digest(token) };
  }

  /** @throws Refusal "unauthenticated" */
  async boot(token: string): Promise<BootClaims> {
    const { mac, uuid, boot, firmware } = await this.#claims(token, bootAudience);
    if (typeof mac !== "string" || typeof boot !== "string") throw unreadable();
    return {
      mac,
      boot,
      uuid: typeof uuid === "string" ? uuid : undefined,
      firmware: firmware === "pcbios" || firmware === "efi" ? firmware : undefined,
    };
  }

  /**
   * @param digestOf of the token that was made for the machine last, where that is known: it stands for a key that was lost
   * @throws Refusal "unauthenticated"
   */
  async home(token: string, digestOf: (uuid: string) => Uint8Array | undefined): Promise<HomeClaims> {
    const { uuid, epoch } = await this.#claims(token, homeAudience).catch(async (refusal: unknown) => {
      const claims = this.#signer.read(token);
      const known = typeof claims?.uuid === "string" ? digestOf(claims.uuid) : undefined;
      if (!claims || !known || !equalBytes(known, await this.#signer.digest(token))) throw refusal;
      return claims;
    });
    if (typeof uuid !== "string" || typeof epoch !== "string" || !/^\d+$/.test(epoch)) throw unreadable();
    return { uuid, epoch: BigInt(epoch) };
  }

  async #claims(token: string, audience: string): Promise<Readonly<Record<string, unknown>>> {
    try {
      return await this.#signer.verify(token, audience);
    } catch (cause) {
      throw new Refusal(
        "unauthenticated",
        `the token is not one of this agent for this use: ${(cause as Error).message}`,
      );
    }
  }
}

const unreadable = () => new Refusal("unauthenticated", "the token lacks claims");
