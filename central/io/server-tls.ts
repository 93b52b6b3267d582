// By what central is known to those who connect: a certificate from files, or one of its own.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Clock } from "#lib/clock.ts";
import { dayMs, hourMs } from "#lib/durations.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import type { TlsMaterial } from "#lib/io/one-port.ts";
import type { Log } from "#lib/log.ts";
import { certificatePem, certificatesOf, pem } from "#lib/x509/pem.ts";
import type { CentralConfig } from "../config.ts";
import type { Authority } from "../join/authority.ts";

export type TlsConfig = NonNullable<CentralConfig["tls"]>;

const ownMs = 90 * dayMs;
/** Of the life of an own certificate: then there is the next one. */
const renewAfterMs = ownMs / 3;
/** How often it is looked whether there should be another one. */
const lookMs = hourMs;

export interface ServerTls {
  /** The material that is in force from now on. */
  readonly load: () => Promise<TlsMaterial>;
  /** The last certificate of the chain that is in force, DER: that by which agents know central. */
  readonly shown: () => Uint8Array | undefined;
  /** Calls `reload` whenever it is time for another certificate of its own, or there is another one in the files. */
  readonly keepFresh: (reload: () => Promise<void>, signal: AbortSignal) => Promise<void>;
}

export async function serverTls(
  config: TlsConfig,
  authority: Authority,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<ServerTls> {
  const { certFile, keyFile, names, caFile } = config;
  const isOwn = certFile === undefined || keyFile === undefined;
  const clientCa = certificatePem(authority.certificate);
  if (isOwn) await writePublic(caFile, clientCa);
  let loaded: Loaded | undefined;
  let loadedMs = 0;
  const isDue = async () => {
    if (isOwn) return clock.wallMs() - loadedMs >= renewAfterMs;
    const { certificate, key } = await readPair(certFile, keyFile);
    return certificate !== loaded?.certificate || key !== loaded?.key;
  };
  return {
    async load() {
      const made = isOwn ? ownMaterial(names, authority) : await fromFiles(certFile, keyFile);
      loaded = made;
      loadedMs = clock.wallMs();
      return { key: made.key, certificate: made.certificate, clientCa };
    },
    shown: () => loaded?.last,
    async keepFresh(reload, signal) {
      while (!signal.aborted) {
        await clock.sleep(lookMs, signal).catch(() => {});
        if (signal.aborted) return;
        try {
          if (!(await isDue())) continue;
          await reload();
          log.info("certificate-renewed", isOwn ? { names } : { certFile });
        } catch (error) {
          log.error("certificate-not-renewed", { ...(isOwn ? { names } : { certFile }), error });
        }
      }
    },
  };
}

interface Loaded {
  readonly key: string;
  readonly certificate: string;
  readonly last: Uint8Array;
}

function ownMaterial(names: readonly string[], authority: Authority): Loaded {
  const { privateKey, publicKey } = keys.newPair();
  const [subject = "central"] = names;
  const { certificate } = authority.issue({ subject, publicKey, use: { kind: "server", names }, lifeMs: ownMs });
  const last = authority.certificate;
  return { key: pem("PRIVATE KEY", privateKey), certificate: certificatePem(certificate) + certificatePem(last), last };
}

/** Looks at both before either is in force: a pair that does not fit must change nothing. */
async function fromFiles(certFile: string, keyFile: string): Promise<Loaded> {
  const { certificate, key } = await readPair(certFile, keyFile);
  const chain = certificatesOf(certificate);
  const [first, last] = chain.ok ? [chain.value[0], chain.value.at(-1)] : [];
  if (!first || !last) throw new Error(`tls.certFile ${certFile}: ${chain.ok ? "it is empty" : chain.error}`);
  if (!new X509Certificate(first).checkPrivateKey(createPrivateKey(key)))
    throw new Error(`tls.keyFile ${keyFile} is not the key of the first certificate in tls.certFile ${certFile}`);
  return { key, certificate, last };
}

const readPair = async (certFile: string, keyFile: string) => ({
  certificate: await readFile(certFile, "utf8"),
  key: await readFile(keyFile, "utf8"),
});

/** Written beside and moved into place, so that nobody reads half of it. */
async function writePublic(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}
