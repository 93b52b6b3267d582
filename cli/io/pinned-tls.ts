import tls from "node:tls";

/**
 * A TLS connection to whoever shows the certificate with this fingerprint, whoever has signed it. Nothing is sent over it
 * before the certificate was compared.
 * @param fingerprint SHA-256 of the certificate, lower-case hex
 */
export function pinnedTls(url: URL, fingerprint: string): tls.TLSSocket {
  const socket = tls.connect({
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || 443),
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false,
  });
  // The first to hear of it: HTTP/2 begins to speak at the same event, after this.
  socket.prependOnceListener("secureConnect", () => {
    const shown = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(":", "").toLowerCase();
    if (shown !== fingerprint) socket.destroy(new WrongCertificate(shown ?? "none"));
  });
  return socket;
}

class WrongCertificate extends Error {
  readonly code = "CERT_FINGERPRINT_DIFFERS";

  constructor(shown: string) {
    super(`the certificate's fingerprint is ${shown}`);
  }
}
