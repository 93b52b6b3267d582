import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { ipv4Text } from "#lib/net/ipv4.ts";
import { type DhcpPorts, DhcpService } from "../dhcp/service.ts";

export interface DhcpServerOptions extends Omit<DhcpPorts, "send"> {
  /** 67 and 68 unless said; others are for tests */
  readonly ports?: { readonly server: number; readonly client: number };
}

/** The kernel gives at most net.core.rmem_max. A second of 8,000 requests fits into 4 MB. */
const receiveBytes = 8 * 2 ** 20;

// Two sockets on one port: one on 0.0.0.0 hears broadcasts; one bound to the server's address hears unicast and sends, so
// that every reply comes from that address (which may be a virtual one), and a broadcast leaves by the interface that owns it.
// A client without an address can only be reached by broadcast: node:dgram cannot make ARP entries.
// The interface that a broadcast came in on is not told by node:dgram: the server answers for one local subnet, and all others
// are behind relays.

/** A running DHCP server. */
export class DhcpServer {
  readonly service: DhcpService;
  readonly #sockets: readonly Socket[];

  private constructor(service: DhcpService, sockets: readonly Socket[]) {
    this.service = service;
    this.#sockets = sockets;
  }

  /** @throws when the address is not here or a port is taken; the message names it */
  static async start(options: DhcpServerOptions): Promise<DhcpServer> {
    const { server, client } = options.ports ?? { server: 67, client: 68 };
    const address = ipv4Text(options.settings.address);
    const sockets: Socket[] = [];
    try {
      sockets.push(await bindSocket(address, server), await bindSocket("0.0.0.0", server));
    } catch (error) {
      for (const socket of sockets) socket.close();
      throw error;
    }
    const [own] = sockets as [Socket];
    own.setBroadcast(true);
    const service = new DhcpService({
      ...options,
      send: (bytes, to) =>
        new Promise((resolve, reject) =>
          own.send(bytes, to.port === "server" ? server : client, ipv4Text(to.address), (error) =>
            error ? reject(error) : resolve(),
          ),
        ),
    });
    for (const socket of sockets) {
      socket.on("message", (bytes) => service.handle(bytes));
      socket.on("error", (error) => options.log.warn("dhcp-socket-error", { address, error }));
    }
    return new DhcpServer(service, sockets);
  }

  /** Takes no more requests, answers those that it has, and closes. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.removeAllListeners("message");
    await this.service.idle();
    await Promise.all(
      this.#sockets.map(async (socket) => {
        const closed = once(socket, "close");
        socket.close();
        await closed;
      }),
    );
  }
}

async function bindSocket(address: string, port: number): Promise<Socket> {
  // Addresses are numbers always: no name is looked up.
  const socket = createSocket({ type: "udp4", reuseAddr: true, lookup: (host, _, done) => done(null, host, 4) });
  try {
    const listening = once(socket, "listening");
    socket.bind(port, address);
    await listening;
  } catch (cause) {
    throw new Error(`dhcp server cannot listen on ${address}:${port}`, { cause });
  }
  enlarge(socket);
  return socket;
}

function enlarge(socket: Socket): void {
  try {
    socket.setRecvBufferSize(receiveBytes);
  } catch {
    // The default size serves too, at a lower rate.
  }
}
