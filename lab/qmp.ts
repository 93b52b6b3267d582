import { createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** Why QEMU ends: `guest-reset`, `guest-shutdown`, `host-signal`, … (QMP's ShutdownCause). */
export type ShutdownReason = string;

/** Listens for one machine's QEMU, which dials here at every start, and remembers why it ended. */
export class Qmp {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #reason: ShutdownReason | undefined;

  constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      this.#reason = undefined;
      socket.on("error", () => undefined);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.write('{"execute":"qmp_capabilities"}\n');
      createInterface({ input: socket }).on("line", (line) => {
        this.#reason = shutdownReason(line) ?? this.#reason;
      });
    });
  }

  /** Reason of the last shutdown, once; undefined when QEMU did not say. */
  takeReason(): ShutdownReason | undefined {
    const reason = this.#reason;
    this.#reason = undefined;
    return reason;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** @param line one message of QMP */
export function shutdownReason(line: string): ShutdownReason | undefined {
  if (!line.includes('"SHUTDOWN"')) return undefined;
  try {
    const message = JSON.parse(line) as { event?: string; data?: { reason?: string } };
    return message.event === "SHUTDOWN" ? message.data?.reason : undefined;
  } catch {
    return undefined;
  }
}
