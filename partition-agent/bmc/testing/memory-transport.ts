import type { BmcTransport } from "../transport.ts";
import type { Responder } from "./responder.ts";

/** Datagrams between a client and responders, by `host:port`. Nobody at an address: the datagram is lost. */
export function memoryTransport(
  bmcs: Readonly<Record<string, Responder>>,
): BmcTransport & { readonly openSockets: number } {
  let count = 0;
  return {
    get openSockets() {
      return count;
    },
    open: async ({ host, port }, listener) => {
      let open = true;
      count += 1;
      return {
        send(datagram) {
          const answers = bmcs[`${host}:${port}`]?.hear(datagram.slice()) ?? [];
          queueMicrotask(() => {
            for (const answer of answers) if (open) listener.onDatagram(answer);
          });
        },
        close() {
          if (open) count -= 1;
          open = false;
        },
      };
    },
  };
}
