import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createRequire } from "node:module";
import { test } from "node:test";
import { systemClock } from "#lib/io/system-clock.ts";
import { silentLog } from "#lib/log.ts";
import { ip } from "../dhcp/testing.ts";
import type { FileSource } from "../files/file-source.ts";
import { MemorySource } from "../files/memory-source.ts";
import { decodeTftp, encodeTftp, type TftpPacket } from "../tftp/packet.ts";
import { TftpServer } from "./tftp-server.ts";

const boot = Uint8Array.from({ length: 5000 }, (_, i) => i & 255);
const files = new MemorySource({ "boot.efi": boot, "arm64/boot.efi": boot.subarray(0, 7) });

async function withServer(work: (server: TftpServer) => Promise<void>, source: FileSource = files): Promise<void> {
  const options = { address: ip("127.0.0.1"), port: 0, files: source, clock: systemClock, log: silentLog };
  const server = await TftpServer.start(options);
  try {
    await work(server);
  } finally {
    await server.stop();
  }
}

/** A client that sends and hears single packets. */
class Client {
  readonly #socket: Socket = createSocket("udp4");

  async ask(packet: TftpPacket, port: number): Promise<{ readonly packet: TftpPacket; readonly port: number }> {
    this.tell(packet, port);
    const [bytes, from] = (await once(this.#socket, "message")) as [Uint8Array, { port: number }];
    const decoded = decodeTftp(Uint8Array.from(bytes));
    assert.ok(decoded.ok);
    return { packet: decoded.value, port: from.port };
  }

  tell(packet: TftpPacket, port: number): void {
    this.#socket.send(encodeTftp(packet), port, "127.0.0.1");
  }

  close(): void {
    this.#socket.close();
  }
}

const read = (file: string, options: Record<string, string> = {}): TftpPacket => ({
  kind: "read",
  file,
  mode: "octet",
  options: new Map(Object.entries(options)),
});

test("a file arrives block by block, and its name may come with backslashes and slashes before it", async () => {
  await withServer(async (server) => {
    for (const file of ["\\arm64\\boot.efi", "//arm64/./boot.efi"]) {
      const client = new Client();
      const { packet, port } = await client.ask(read(file), server.port);
      assert.deepEqual(packet, { kind: "data", block: 1, bytes: new Uint8Array(boot.subarray(0, 7)) });
      assert.notEqual(port, server.port);
      client.tell({ kind: "ack", block: 1 }, port);
      client.close();
    }
  });
});

test("what is asked wrongly is refused with a reason", async () => {
  await withServer(async (server) => {
    const refused = async (packet: TftpPacket) => {
      const client = new Client();
      const answer = await client.ask(packet, server.port);
      client.close();
      return answer.packet.kind === "error" ? `${answer.packet.code} ${answer.packet.message}` : answer.packet.kind;
    };
    assert.equal(await refused(read("missing")), "1 no file missing");
    assert.equal(await refused(read("a/../../etc/passwd")), "2 file name a/../../etc/passwd: .. is not served");
    assert.equal(await refused({ ...read("boot.efi"), kind: "write" } as TftpPacket), "2 this server is read-only");
    assert.equal(await refused({ ...read("boot.efi"), mode: "netascii" } as TftpPacket), "4 mode octet is wanted");
    assert.equal(await refused({ kind: "ack", block: 0 }), "5 no such transfer");
  });
});

test("a stranger's packet is answered with an error and does not disturb the transfer", async () => {
  await withServer(async (server) => {
    const [client, stranger] = [new Client(), new Client()];
    const first = await client.ask(read("boot.efi", { blksize: "1000", tsize: "0" }), server.port);
    assert.deepEqual(first.packet, {
      kind: "oack",
      options: new Map([
        ["blksize", "1000"],
        ["tsize", "5000"],
      ]),
    });
    const told = await stranger.ask({ kind: "ack", block: 0 }, first.port);
    assert.deepEqual(told.packet, { kind: "error", code: 5, message: "not your transfer" });
    const next = await client.ask({ kind: "ack", block: 0 }, first.port);
    assert.deepEqual(next.packet, { kind: "data", block: 1, bytes: new Uint8Array(boot.subarray(0, 1000)) });
    client.close();
    stranger.close();
  });
});

test("a client that breaks off after it has heard the size is no failure", async () => {
  const seen: unknown[] = [];
  await withServer(async (server) => {
    const client = new Client();
    const { port } = await client.ask(read("boot.efi", { tsize: "0" }), server.port);
    client.tell({ kind: "error", code: 8, message: "size is enough" }, port);
    while (server.statistics().active > 0) await new Promise(setImmediate);
    seen.push(server.statistics());
    client.close();
  });
  assert.deepEqual(seen, [{ outcomes: { aborted: 1 }, active: 0 }]);
});

test("a request that is repeated while its transfer runs starts no second one", async () => {
  await withServer(async (server) => {
    const client = new Client();
    await client.ask(read("boot.efi"), server.port);
    client.tell(read("boot.efi"), server.port);
    while (server.statistics().outcomes.repeated !== 1) await new Promise(setImmediate);
    assert.equal(server.statistics().active, 1);
    client.close();
  });
});

test("a source that fails makes the client wait, not give up", async () => {
  const failing: FileSource = { open: () => Promise.reject(new Error("disk on fire")) };
  await withServer(async (server) => {
    const client = new Client();
    client.tell(read("boot.efi"), server.port);
    while (server.statistics().outcomes.failed !== 1) await new Promise(setImmediate);
    const answer = await client.ask({ kind: "ack", block: 7 }, server.port);
    assert.equal(
      answer.packet.kind === "error" && answer.packet.code,
      5,
      "the first thing heard is not about the file",
    );
    client.close();
  }, failing);
});

test("one client does not take all transfers", async () => {
  await withServer(async (server) => {
    const clients = Array.from({ length: 9 }, () => new Client());
    for (const client of clients) client.tell(read("boot.efi"), server.port);
    while (server.statistics().outcomes.busy !== 1) await new Promise(setImmediate);
    assert.equal(server.statistics().active, 8);
    for (const client of clients) client.close();
  });
});

test("the npm client `tftp` reads a file with and without windows", async () => {
  interface NpmTftp {
    createClient(options: object): { createGetStream(file: string): NodeJS.ReadableStream };
  }
  const tftp = createRequire(import.meta.url)("tftp") as NpmTftp;
  const big = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) & 255);
  await withServer(async (server) => {
    for (const windowSize of [1, 8]) {
      const client = tftp.createClient({ host: "127.0.0.1", port: server.port, windowSize, blockSize: 1468 });
      const parts: Buffer[] = [];
      // This client closes its stream before it has ended it, which an async iteration would take for a failure.
      const stream = client.createGetStream("big").on("data", (part) => parts.push(part as Buffer));
      await once(stream, "close");
      assert.equal(Buffer.concat(parts).equals(big), true);
    }
  }, new MemorySource({ big }));
});
