import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { BmcTransport } from "../bmc/transport.ts";

/** One connected UDP socket per BMC: the kernel keeps other senders out and reports closed ports. */
export const udpTransport: BmcTransport = {
  async open(address, listener) {
    const socket = createSocket(isIPv6(address.host) ? "udp6" : "udp4");
    try {
      await new Promise<void>((resolve, reject) => {
        // Node hands a failed look-up of the name to the callback, whatever its type says.
        socket.connect(address.port, address.host, (error?: Error) => (error ? reject(error) : resolve()));
      });
    } catch (error) {
      socket.close();
      throw error;
    }
    let open = true;
    socket.on("message", (datagram) => open && listener.onDatagram(datagram));
    socket.on("error", (error) => open && listener.onError(error));
    return {
      send: (datagram) => {
        if (open) socket.send(datagram, (error) => open && error && listener.onError(error));
      },
      close: () => {
        if (!open) return;
        open = false;
        socket.close();
      },
    };
  },
};
