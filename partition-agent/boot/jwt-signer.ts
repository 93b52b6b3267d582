import { decodeJwt, jwtVerify, SignJWT } from "jose";
import { sha256 } from "#lib/message-digest.ts";
import type { TokenSigner } from "./boot-token.ts";

const algorithm = "HS256";

/** JSON Web Tokens (RFC 7519) by HMAC with SHA-256. @param key 32 bytes */
export const jwtSigner = (key: Uint8Array): TokenSigner => ({
  sign: (claims, audience) =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: algorithm }).setAudience(audience).sign(key),
  verify: async (token, audience) => (await jwtVerify(token, key, { algorithms: [algorithm], audience })).payload,
  read: (token) => {
    try {
      return decodeJwt(token);
    } catch {
      return undefined;
    }
  },
  digest: sha256,
});
