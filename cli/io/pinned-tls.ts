import { once } from "node:events";
import tls from "node:tls";

/**
 * A TLS connection to whoever shows the certificate with this fingerprint, whoever has signed it. It is handed out after
 * the certificate was compared, so that nothing is sent to anybody else.
 * @param fingerprint SHA-256 of the certificate, lower-case hex
 * @throws an Error with the system's code, or CERT_FINGERPRINT_DIFFERS
 */
export async function pinnedTls(url: URL, fingerprint: string, signal: AbortSignal): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || 443),
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false,
  });
  try {
    await once(socket, "secureConnect", { signal });
    const shown = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(":", "").toLowerCase();
    if (shown !== fingerprint) throw new WrongCertificate(shown ?? "none");
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

class WrongCertificate extends Error {
  readonly code = "CERT_FINGERPRINT_DIFFERS";

  constructor(shown: string) {
    super(`the certificate's fingerprint is ${shown}`);
  }
}
