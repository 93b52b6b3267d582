import { importJWK, jwtVerify } from "jose";
import type { TokenVerifier } from "./people.ts";

/** ECDSA over P-521, by which central signs. @source RFC 7518 §3.4 */
const algorithm = "ES512";

/** JSON Web Tokens (RFC 7519) of central. */
export const verifyJwt: TokenVerifier = async (token, { keys, issuer }, nowMs) => {
  const keyOf = async ({ kid }: { readonly kid?: string }) => {
    const key = keys.find(({ id }) => id === kid);
    if (!key) throw new Error(`key ${kid} is not known`);
    return await importJWK(JSON.parse(key.publicJwk), algorithm);
  };
  const options = { algorithms: [algorithm], currentDate: new Date(nowMs), issuer };
  const { payload } = await jwtVerify(token, keyOf, options);
  if (payload.jti === undefined) throw new Error("the token has no id");
  return payload.jti;
};
