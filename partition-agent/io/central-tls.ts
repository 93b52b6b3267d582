// By what the agent knows central, and by what central knows the agent, as TLS wants it.
import { once } from "node:events";
import tls from "node:tls";
import type { AgentIdentity } from "#gen/holdfast/state/v1/join_pb.ts";
import { equalBytes } from "#lib/bytes.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import { certificatePem, pem } from "#lib/x509/pem.ts";

export type CentralTls = Pick<tls.SecureContextOptions, "ca" | "cert" | "key" | "allowPartialTrustChain">;

/** @param ca PEM; those that the system trusts when undefined */
export const trusting = (ca: string | undefined): CentralTls =>
  ca === undefined ? {} : { ca, allowPartialTrustChain: true };

/** @param ca PEM, instead of what central named as its own when the agent joined */
export function tlsOf({ credential, privateKey }: AgentIdentity, ca: string | undefined): CentralTls {
  const known = (credential?.authorities ?? []).map(certificatePem).join("");
  return {
    ...trusting(ca ?? known),
    cert: certificatePem(credential?.certificate ?? new Uint8Array()),
    key: pem("PRIVATE KEY", privateKey),
  };
}

/**
 * Trust in nobody but whose chain leads up to the certificate with this fingerprint. It is fetched from whoever answers, which
 * proves nothing: only the connection that is made with it then shows that central has it above its own.
 * @param fingerprint SHA-256 of the certificate
 * @throws when whoever answers shows no such certificate
 */
export async function pinned(url: string, fingerprint: Uint8Array, signal: AbortSignal): Promise<CentralTls> {
  const { hostname, port } = new URL(url);
  const socket = tls.connect({
    host: hostname,
    port: Number(port || 443),
    ...(/^[\d.]+$/.test(hostname) ? {} : { servername: hostname }),
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false,
  });
  try {
    await once(socket, "secureConnect", { signal });
    const found = chainOf(socket).find((certificate) => equalBytes(keys.sha256(certificate), fingerprint));
    if (!found)
      throw new Error(
        `${url} is not the central of the join token: it shows other certificates; nothing was said to it`,
      );
    return trusting(certificatePem(found));
  } finally {
    socket.destroy();
  }
}

/** What the other side shows, its own certificate first. */
function chainOf(socket: tls.TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let shown: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (shown?.raw) {
    chain.push(shown.raw);
    // One that is signed by itself is its own issuer.
    shown = shown.issuerCertificate === shown ? undefined : shown.issuerCertificate;
  }
  return chain;
}
