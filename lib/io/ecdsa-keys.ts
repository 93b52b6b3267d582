import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import type { Keys } from "../x509/keys.ts";

/** Keys, signatures and hashes by Node's OpenSSL. */
export const ecdsaKeys: Keys = {
  newPair() {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    return {
      privateKey: privateKey.export({ type: "pkcs8", format: "der" }),
      publicKey: publicKey.export({ type: "spki", format: "der" }),
    };
  },
  sign: (privateKey, told) =>
    sign("sha256", told, createPrivateKey({ key: Buffer.from(privateKey), type: "pkcs8", format: "der" })),
  isSignedBy(publicKey, told, signature) {
    try {
      const key = createPublicKey({ key: Buffer.from(publicKey), type: "spki", format: "der" });
      return verify("sha256", told, key, signature);
    } catch {
      // OpenSSL takes no key whose point is not on the curve.
      return false;
    }
  },
  sha256: (bytes) => createHash("sha256").update(bytes).digest(),
};
