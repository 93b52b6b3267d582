/**
 * How a session is authenticated, kept whole and encrypted; one row per suite that this client speaks.
 * @source IPMI 2.0 §22.15.2 table 22-20; algorithm numbers §13.28
 */
export interface CipherSuite {
  readonly id: number;
  /** Algorithm numbers as they stand in the Open Session request. */
  readonly authentication: number;
  readonly integrity: number;
  readonly confidentiality: number;
  readonly hash: HashName;
  /** Length of a full HMAC, as in RAKP 2 and 3. */
  readonly hashBytes: number;
  /** Length of the shortened HMAC, as in RAKP 4 and at the end of each packet. */
  readonly checkBytes: number;
}

export type HashName = "sha1" | "sha256";

/** RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128 */
export const suite3: CipherSuite = {
  id: 3,
  authentication: 1,
  integrity: 1,
  confidentiality: 1,
  hash: "sha1",
  hashBytes: 20,
  checkBytes: 12,
};

/** RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128 */
export const suite17: CipherSuite = {
  id: 17,
  authentication: 3,
  integrity: 4,
  confidentiality: 1,
  hash: "sha256",
  hashBytes: 32,
  checkBytes: 16,
};

/** Best first: the order in which a BMC is asked. */
export const cipherSuites: readonly CipherSuite[] = [suite17, suite3];
