// A certificate for a server that people recognise by its fingerprint: signed by itself, and without an end.
import type { Disk } from "#lib/disk.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import type { TlsMaterial } from "#lib/io/one-port.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { certificate, keyIdOf, serialBytes, serialOf } from "#lib/x509/certificate.ts";
import { certificatePem, pem } from "#lib/x509/pem.ts";

const table = "site-certificate";

/** The certificate that this agent made when it first needed one; kept, because people know its fingerprint. */
export async function selfMadeCertificate(disk: Disk, name: string): Promise<TlsMaterial> {
  const [key, certificate] = [disk.get(table, "key"), disk.get(table, "certificate")];
  if (key && certificate) return { key, certificate };
  const made = make(name);
  const encode = (text: string) => new TextEncoder().encode(text);
  await disk.write([
    { table, key: "key", value: encode(made.key) },
    { table, key: "certificate", value: encode(made.certificate) },
  ]);
  return made;
}

function make(subject: string): { readonly key: string; readonly certificate: string } {
  const { privateKey, publicKey } = keys.newPair();
  const keyId = keyIdOf(keys.sha256(publicKey));
  const issuer = { name: subject, keyId };
  const serial = serialOf(random.bytes(serialBytes));
  const made = certificate({ serial, subject, publicKey, keyId, issuer, fromMs: 0, use: { kind: "pinned" } }, (told) =>
    keys.sign(privateKey, told),
  );
  return { key: pem("PRIVATE KEY", privateKey), certificate: certificatePem(made) };
}
