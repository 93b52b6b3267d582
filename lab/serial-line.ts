import { createServer, type Server, type Socket } from "node:net";

/** A server's serial port as its BMC sees it: whoever connects hears what the server says from then on, and may type. */
export class SerialLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @param typed told of what comes from the other end */
  constructor(typed: (bytes: Uint8Array) => void) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("data", typed);
      socket.on("error", () => undefined);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
  }

  say(bytes: Uint8Array): void {
    for (const socket of this.#sockets) socket.write(bytes);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
