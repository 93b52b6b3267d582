import type { Claims } from "./person.ts";

/** What ties an answer of the identity provider to the browser that asked. */
export interface Checks {
  readonly state: string;
  readonly nonce: string;
  /** RFC 7636 §4.1 */
  readonly verifier: string;
}

/** RFC 8628 §3.2 */
export interface DeviceCodes {
  readonly deviceCode: string;
  readonly userCode: string;
  readonly verificationUri: string;
  readonly verificationUriComplete: string | undefined;
  readonly expiresSeconds: number;
  readonly intervalSeconds: number;
}

/** Those to come: the person has not answered yet. RFC 8628 §3.5 */
export type Pending = "authorization_pending" | "slow_down";

/**
 * Who knows people, over OpenID Connect.
 * All throw a Refusal: "unauthenticated" when it said no, "unavailable" when it did not answer.
 */
export interface IdentityProvider {
  /** Where to send the browser. */
  authorizationUrl(checks: Checks): Promise<URL>;
  /** @param callback the URL that the browser was sent back to */
  redeem(callback: URL, checks: Checks): Promise<Claims>;
  beginDevice(): Promise<DeviceCodes>;
  pollDevice(deviceCode: string): Promise<Claims | Pending>;
  /** Undefined: it has none. */
  logoutUrl(): Promise<URL | undefined>;
}
