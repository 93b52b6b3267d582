// A certificate for a server that people recognise by its fingerprint, and programs by the certificate itself: signed by its own key,
// for the names by which it is reached, and without an end.
import type { Disk } from "#lib/disk.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import type { TlsMaterial } from "#lib/io/one-port.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { certificate, keyIdOf, serialBytes, serialOf } from "#lib/x509/certificate.ts";
import { certificatePem, pem } from "#lib/x509/pem.ts";

const table = "site-certificate";

/**
 * The certificate that this agent made when it first needed one for these names; kept, because people know its fingerprint.
 * @param names host names and IPv4 addresses by which clients reach it; other ones than before make another certificate
 */
export async function selfMadeCertificate(
  disk: Disk,
  init: { readonly subject: string; readonly names: readonly string[] },
): Promise<TlsMaterial> {
  const names = init.names.join(" ");
  const [key, certificate, madeFor] = ["key", "certificate", "names"].map((k) => disk.get(table, k));
  if (key && certificate && new TextDecoder().decode(madeFor) === names) return { key, certificate };
  const made = make(init);
  const encode = (text: string) => new TextEncoder().encode(text);
  await disk.write([
    { table, key: "key", value: encode(made.key) },
    { table, key: "certificate", value: encode(made.certificate) },
    { table, key: "names", value: encode(names) },
  ]);
  return made;
}

function make({ subject, names }: { readonly subject: string; readonly names: readonly string[] }) {
  const { privateKey, publicKey } = keys.newPair();
  const keyId = keyIdOf(keys.sha256(publicKey));
  const issuer = { name: subject, keyId };
  const serial = serialOf(random.bytes(serialBytes));
  const use = { kind: "server", names } as const;
  const made = certificate({ serial, subject, publicKey, keyId, issuer, fromMs: 0, use }, (told) =>
    keys.sign(privateKey, told),
  );
  return { key: pem("PRIVATE KEY", privateKey), certificate: certificatePem(made) };
}
