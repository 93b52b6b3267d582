import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import type { BmcCrypto } from "../bmc/crypto.ts";

export const nodeBmcCrypto: BmcCrypto = {
  hmac: (hash, key, content) => new Uint8Array(createHmac(hash, key).update(content).digest()),
  encrypt(key, iv, plain) {
    const cipher = createCipheriv("aes-128-cbc", key, iv).setAutoPadding(false);
    return new Uint8Array(Buffer.concat([cipher.update(plain), cipher.final()]));
  },
  decrypt(key, iv, text) {
    const cipher = createDecipheriv("aes-128-cbc", key, iv).setAutoPadding(false);
    return new Uint8Array(Buffer.concat([cipher.update(text), cipher.final()]));
  },
};
