// By what central is known to those who connect: a certificate from files, or one of its own.

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
const lookMs = hourMs;

export interface ServerTls {
  /** The material that is in force from now on. */
  readonly load: () => Promise<TlsMaterial>;
  /** The last certificate of the chain that is in force, DER: that by which agents know central. */
  readonly shown: () => Uint8Array | undefined;
  /** Calls `reload` whenever it is time for another certificate of its own. */
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
  let shown: Uint8Array | undefined;
  let loadedMs = 0;
  return {
    async load() {
      const made = isOwn ? ownMaterial(names, authority) : await fromFiles(certFile, keyFile);
      shown = made.last;
      loadedMs = clock.wallMs();
      return { key: made.key, certificate: made.certificate, clientCa };
    },
    shown: () => shown,
    async keepFresh(reload, signal) {
      while (isOwn && !signal.aborted) {
        await clock.sleep(lookMs, signal).catch(() => {});
        if (signal.aborted || clock.wallMs() - loadedMs < renewAfterMs) continue;
        await reload().then(
          () => log.info("own-certificate-renewed", { names }),
          (error: unknown) => log.error("own-certificate-not-renewed", { names, error }),
        );
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

async function fromFiles(certFile: string, keyFile: string): Promise<Loaded> {
  const certificate = await readFile(certFile, "utf8");
  const chain = certificatesOf(certificate);
  const last = chain.ok ? chain.value.at(-1) : undefined;
  if (!last) throw new Error(`tls.certFile ${certFile}: ${chain.ok ? "it is empty" : chain.error}`);
  return { key: await readFile(keyFile, "utf8"), certificate, last };
}

/** Written beside and moved into place, so that nobody reads half of it. */
async function writePublic(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}
