// The site's one token, for people who are not on the agent's host. Only its hash is kept: the token itself stands in a
// file until somebody takes it away.
import { hex } from "#lib/bytes.ts";
import type { Disk } from "#lib/disk.ts";
import type { Random } from "#lib/random.ts";
import type { SecretFile } from "#lib/secret-file.ts";

const table = "site-credential";
const hashKey = "sha256";
const tokenBytes = 32;

export interface CredentialPorts {
  readonly disk: Disk;
  readonly random: Random;
  /** SHA-256 in hex. */
  readonly sha256: (text: string) => string;
  readonly file: SecretFile;
}

export class SiteCredential {
  readonly #ports: CredentialPorts;
  #hash: string;

  private constructor(ports: CredentialPorts, hash: string) {
    this.#ports = ports;
    this.#hash = hash;
  }

  /** Makes the token at the first start; later the file is not written again, so it may be gone. */
  static async open(ports: CredentialPorts): Promise<SiteCredential> {
    const stored = ports.disk.get(table, hashKey);
    const credential = new SiteCredential(ports, stored ? new TextDecoder().decode(stored) : "");
    if (!stored) await credential.rotate();
    return credential;
  }

  /** Path of the file that the token was written to. */
  get file(): string {
    return this.#ports.file.path;
  }

  /** The file first: a crash in between leaves the old token good, and one in the file that is not good yet. */
  async rotate(): Promise<void> {
    const { disk, random, sha256, file } = this.#ports;
    const token = `hfs_${hex(random.bytes(tokenBytes))}`;
    const hash = sha256(token);
    await file.write(`${token}\n`);
    await disk.write([{ table, key: hashKey, value: new TextEncoder().encode(hash) }]);
    this.#hash = hash;
  }

  /** Hashes are compared: the time that it takes tells nothing of the token. */
  isRight(token: string): boolean {
    return this.#hash !== "" && this.#ports.sha256(token) === this.#hash;
  }
}
