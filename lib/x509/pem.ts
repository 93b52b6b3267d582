import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { fail, ok, type Result } from "../result.ts";

/** @param label such as CERTIFICATE or PRIVATE KEY. @source RFC 7468 §2 */
export const pem = (label: string, bytes: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${base64Encode(bytes).replace(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;

export const certificatePem = (bytes: Uint8Array): string => pem("CERTIFICATE", bytes);

/** The certificates of a PEM text in their order, as DER; anything between them is no matter. */
export function certificatesOf(text: string): Result<readonly Uint8Array[]> {
  const blocks = [...text.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g)];
  if (blocks.length === 0) return fail("no certificate in PEM is in it");
  try {
    return ok(blocks.map(([, body = ""]) => base64Decode(body.replace(/\s/g, ""))));
  } catch {
    return fail("a certificate in it is no base64");
  }
}
