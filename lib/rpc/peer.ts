import { type ContextKey, createContextKey } from "@connectrpc/connect";

/** Who is at the other end of the connection, as the transport saw it. */
export interface Peer {
  /**
   * Address in text, without port; empty when there is none (in-process calls). Of who calls, where the other end is a proxy that may
   * say for whom it does.
   */
  readonly address: string;
  readonly encrypted: boolean;
  /**
   * SHA-256, in hex, of the client certificate. The handshake has proven that the peer holds its key; who signed it and whether it
   * has ended, nobody has asked yet.
   */
  readonly certificate: string | undefined;
}

/** Handlers read it with `context.values.get(peerKey)`. */
export const peerKey: ContextKey<Peer> = createContextKey<Peer>(
  { address: "", encrypted: false, certificate: undefined },
  { description: "the peer of the connection" },
);
