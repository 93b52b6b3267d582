import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { type Ipv4, ipv4Text } from "#lib/net/ipv4.ts";
import { fileName } from "../files/file-name.ts";
import type { FileSource } from "../files/file-source.ts";
import { Tally } from "../tally.ts";
import { decodeTftp, encodeTftp, type TftpPacket, tftpError } from "../tftp/packet.ts";
import { agreeOnTerms, defaultTermLimits, type TermLimits } from "../tftp/terms.ts";
import { type Ending, TftpTransfer } from "./tftp-transfer.ts";

export interface TftpServerOptions {
  readonly address: Ipv4;
  readonly files: FileSource;
  readonly clock: Clock;
  readonly log: Log;
  /** 69 unless said; 0 lets the system choose, for tests */
  readonly port?: number;
  readonly limits?: TermLimits;
}

type Outcome = Ending["how"] | "not-found" | "refused" | "malformed" | "busy" | "repeated";

export interface TftpStatistics {
  /** Requests by what became of them. `aborted` by the client is normal: EDK2 asks for the size first and breaks off. */
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>;
  readonly active: number;
}

/** Beyond these a request is not answered; clients ask again. */
const transfersMax = 200;
const transfersPerClientMax = 8;

type Request = Extract<TftpPacket, { kind: "read" | "write" }>;

/** A running, read-only TFTP server (RFC 1350, 2347, 2348, 2349, 7440). */
export class TftpServer {
  readonly #options: TftpServerOptions;
  readonly #socket: Socket;
  readonly #stopping = new AbortController();
  /** By the client's address and port; a request that is repeated meanwhile starts nothing. */
  readonly #active = new Map<string, { readonly client: string; readonly work: Promise<void> }>();
  readonly #outcomes = new Tally<Outcome>();

  private constructor(options: TftpServerOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    socket.on("message", (bytes, from) => this.#hear(bytes, from));
    socket.on("error", (error) => options.log.warn("tftp-socket-error", { error }));
  }

  /** @throws when the address is not here or the port is taken; the message names it */
  static async start(options: TftpServerOptions): Promise<TftpServer> {
    const port = options.port ?? 69;
    const address = ipv4Text(options.address);
    const socket = createSocket({ type: "udp4", lookup: (host, _, done) => done(null, host, 4) });
    try {
      const listening = once(socket, "listening");
      socket.bind(port, address);
      await listening;
    } catch (cause) {
      socket.close();
      throw new Error(`tftp server cannot listen on ${address}:${port}`, { cause });
    }
    return new TftpServer(options, socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  statistics(): TftpStatistics {
    return { outcomes: this.#outcomes.counts(), active: this.#active.size };
  }

  /** Breaks off what is on its way, telling the clients, and closes. */
  async stop(): Promise<void> {
    const closed = once(this.#socket, "close");
    this.#socket.close();
    this.#stopping.abort(new Error("stopping"));
    await closed;
    await Promise.all(Array.from(this.#active.values(), ({ work }) => work));
  }

  #hear(bytes: Uint8Array, from: RemoteInfo): void {
    const packet = decodeTftp(bytes);
    if (!packet.ok) this.#outcomes.add("malformed");
    else if (packet.value.kind === "read" || packet.value.kind === "write") this.#begin(packet.value, from);
    // Anything else belongs to a transfer's own port.
    else if (packet.value.kind !== "error") this.#refuse(from, tftpError.unknownTransfer, "no such transfer");
  }

  #begin(request: Request, from: RemoteInfo): void {
    const key = `${from.address}:${from.port}`;
    if (this.#active.has(key)) {
      this.#outcomes.add("repeated");
      return;
    }
    const ofClient = Array.from(this.#active.values()).filter(({ client }) => client === from.address).length;
    if (this.#active.size >= transfersMax || ofClient >= transfersPerClientMax) {
      this.#outcomes.add("busy");
      return;
    }
    const work = this.#serve(request, from).finally(() => this.#active.delete(key));
    this.#active.set(key, { client: from.address, work });
  }

  async #serve(request: Request, from: RemoteInfo): Promise<void> {
    const { log } = this.#options;
    const name = fileName(request.file);
    if (request.kind === "write") return this.#refuse(from, tftpError.accessViolation, "this server is read-only");
    if (request.mode.toLowerCase() !== "octet")
      return this.#refuse(from, tftpError.illegalOperation, "mode octet is wanted");
    if (!name.ok) return this.#refuse(from, tftpError.accessViolation, name.error);
    try {
      const outcome = await this.#transfer(name.value, request, from);
      this.#outcomes.add(outcome.how);
      if (outcome.how === "not-found") this.#tell(from, tftpError.notFound, `no file ${name.value}`);
      log.debug("tftp-ended", { client: from.address, file: name.value, ...outcome });
    } catch (error) {
      // Silence: the client asks again, whereas "not found" would make it give up.
      this.#outcomes.add("failed");
      log.warn("tftp-failed", { client: from.address, file: name.value, error });
    }
  }

  async #transfer(name: string, request: Request, from: RemoteInfo): Promise<Ending | { readonly how: "not-found" }> {
    const { files, clock, address, limits } = this.#options;
    const file = await files.open(name);
    if (!file) return { how: "not-found" };
    try {
      const terms = agreeOnTerms(request.options, file.sizeBytes, limits ?? defaultTermLimits);
      const of = { server: ipv4Text(address), peer: { address: from.address, port: from.port }, file, terms };
      return await TftpTransfer.run(of, clock, this.#stopping.signal);
    } finally {
      await file.close();
    }
  }

  #refuse(to: RemoteInfo, code: number, message: string): void {
    this.#outcomes.add("refused");
    this.#tell(to, code, message);
  }

  #tell(to: RemoteInfo, code: number, message: string): void {
    if (this.#stopping.signal.aborted) return;
    this.#socket.send(encodeTftp({ kind: "error", code, message }), to.port, to.address, () => {});
  }
}
