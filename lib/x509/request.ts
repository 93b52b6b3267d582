// Requests for certificates: a public key, and the proof that whoever asks holds its private key. The name in one is not believed.
import { equalBytes } from "../bytes.ts";
import { fail, ok, type Result } from "../result.ts";
import { bits, der, type Element, elementsOf, sequence, tag } from "./der.ts";
import { isP256, type KeyPair, type Keys } from "./keys.ts";
import { ecdsaWithSha256, nameOf } from "./name.ts";

/** @returns DER. @source RFC 2986 §4 */
export function certificateRequest(subject: string, { privateKey, publicKey }: KeyPair, keys: Keys): Uint8Array {
  const version = der(tag.integer, Uint8Array.of(0));
  const told = sequence(version, nameOf(subject), publicKey, der(tag.constructed(0)));
  return sequence(told, ecdsaWithSha256, bits(keys.sign(privateKey, told)));
}

/** @returns the public key, whose owner has signed the request; a failure says what is wrong with the request */
export function requestedKey(request: Uint8Array, keys: Keys): Result<Uint8Array> {
  const parts = partsOf(request, 3);
  if (!parts.ok) return fail(`the certificate request is not one of PKCS #10: ${parts.error}`);
  const [told, algorithm, signature] = parts.value as [Element, Element, Element];
  const inner = partsOf(told.whole, 4);
  if (!inner.ok) return fail(`the certificate request's content is not that of PKCS #10: ${inner.error}`);
  const publicKey = inner.value[2]!.whole;
  if (!isP256(publicKey)) return fail("the certificate request's key is not one of P-256");
  const isOurs = equalBytes(algorithm.whole, ecdsaWithSha256);
  if (!isOurs) return fail("the certificate request is not signed with ECDSA and SHA-256");
  if (signature.type !== tag.bits || signature.content[0] !== 0)
    return fail("the certificate request has no signature");
  return keys.isSignedBy(publicKey, told.whole, signature.content.subarray(1))
    ? ok(publicKey)
    : fail("the certificate request is not signed by the key in it");
}

/** What is in a sequence that these bytes are. */
function partsOf(bytes: Uint8Array, count: number): Result<readonly Element[]> {
  const outer = elementsOf(bytes, 1);
  if (!outer.ok) return outer;
  const [whole] = outer.value;
  if (whole?.type !== tag.sequence) return fail("it is no sequence");
  const parts = elementsOf(whole.content, count);
  if (parts.ok && parts.value.length !== count) return fail(`${parts.value.length} of ${count} parts`);
  return parts;
}
