import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http2 from "node:http2";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import tls from "node:tls";
import { dayMs } from "#lib/durations.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Authority } from "../join/authority.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState } from "../store/state.ts";
import { type ServerTls, serverTls, type TlsConfig } from "./server-tls.ts";

let folder: string;
let clock: VirtualClock;
let authority: Authority;
let stop: AbortController;
let server: Listening | undefined;
beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "holdfast-tls-"));
  // OpenSSL looks at the host's clock, whatever ours says: so ours begins there.
  clock = new VirtualClock(Date.now());
  stop = new AbortController();
  const state = await openState({ store: new MemoryStore({ clock, random }), clock, random, log }, stop.signal);
  authority = await Authority.open({ state, keys, clock, random });
});
afterEach(async () => {
  stop.abort();
  await server?.stop();
  server = undefined;
  rmSync(folder, { recursive: true });
});

async function served(config: Partial<TlsConfig>): Promise<ServerTls> {
  const usual = { names: [], caFile: path.join(folder, "new/ca.pem"), certFile: undefined, keyFile: undefined };
  const made = await serverTls({ ...usual, ...config }, authority, { clock, log });
  server = await listen({ routes: () => {}, tls: made.load, log }, { host: "127.0.0.1", port: 0 });
  return made;
}

/** The certificate that is shown, after it was verified as a client does. @throws what TLS has against it */
async function visited(servername: string, ca: string): Promise<X509Certificate> {
  const identity = (_: string, shown: tls.PeerCertificate) => tls.checkServerIdentity(servername, shown);
  const name = servername === "127.0.0.1" ? {} : { servername };
  const socket = tls.connect({ host: "127.0.0.1", port: server!.port, ca, checkServerIdentity: identity, ...name });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerX509Certificate()!;
  } finally {
    socket.destroy();
  }
}

test("central's own certificate is good for its names, and for those who trust the authority in the file", async () => {
  const made = await served({ names: ["central.example", "127.0.0.1"] });
  const ca = readFileSync(path.join(folder, "new/ca.pem"), "utf8");
  assert.deepEqual(new X509Certificate(ca).raw, Buffer.from(authority.certificate));
  for (const name of ["central.example", "127.0.0.1"]) assert.ok(await visited(name, ca), name);
  await assert.rejects(visited("other.example", ca), /other\.example/);
  assert.deepEqual(made.shown(), authority.certificate);
});

test("it is another one after a third of its life, while the port goes on", async () => {
  const made = await served({ names: ["127.0.0.1"] });
  const ca = readFileSync(path.join(folder, "new/ca.pem"), "utf8");
  const first = await visited("127.0.0.1", ca);
  const days = (Date.parse(first.validTo) - clock.wallMs()) / dayMs;
  assert.equal(Math.round(days), 90);
  let reloads = 0;
  const reload = async () => {
    reloads++;
    await server!.reload();
  };
  void made.keepFresh(reload, stop.signal);
  const hoursOf = async (hours: number) => {
    for (let i = 0; i < hours; i++) {
      clock.advance(3_600_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await hoursOf(30 * 24 - 1);
  assert.equal(reloads, 0);
  await hoursOf(2);
  assert.equal(reloads, 1);
});

/** A certificate of central's authority for loopback, and its key, in files. */
function files() {
  const [certFile, keyFile] = [path.join(folder, "c.pem"), path.join(folder, "k.pem")];
  const block = (label: string, bytes: Uint8Array) =>
    `-----BEGIN ${label}-----\n${Buffer.from(bytes).toString("base64")}\n-----END ${label}-----\n`;
  const ca = block("CERTIFICATE", authority.certificate);
  const pair = () => {
    const { privateKey, publicKey } = keys.newPair();
    const use = { kind: "server", names: ["127.0.0.1"] } as const;
    const { certificate } = authority.issue({ subject: "127.0.0.1", publicKey, use, lifeMs: dayMs });
    return { certificate: block("CERTIFICATE", certificate) + ca, key: block("PRIVATE KEY", privateKey) };
  };
  const write = ({ certificate, key }: ReturnType<typeof pair>) => {
    writeFileSync(certFile, certificate);
    writeFileSync(keyFile, key);
  };
  write(pair());
  return { certFile, keyFile, ca, pair, write };
}

test("a certificate from files is shown with its chain, and agents know central by the last of it", async () => {
  const { certFile, keyFile, ca } = files();
  const made = await served({ certFile, keyFile });
  assert.ok(await visited("127.0.0.1", ca));
  assert.deepEqual(Buffer.from(made.shown()!), Buffer.from(authority.certificate));
  writeFileSync(certFile, "rubbish");
  await assert.rejects(server!.reload(), /tls\.certFile .*c\.pem: no certificate in PEM is in it/);
});

test("another one in the files is shown after a reload, while open connections and their calls go on", async () => {
  const { certFile, keyFile, ca, pair, write } = files();
  await served({ certFile, keyFile });
  const first = await visited("127.0.0.1", ca);
  const session = http2.connect(`https://127.0.0.1:${server!.port}`, { ca });
  await once(session, "connect");
  write(pair());
  await server!.reload();
  assert.notEqual((await visited("127.0.0.1", ca)).serialNumber, first.serialNumber);
  const stream = session.request({ ":path": "/" });
  const [headers] = await once(stream, "response");
  assert.equal(headers[":status"], 404);
  session.destroy();
});

test("a key that is not the certificate's changes nothing", async () => {
  const { certFile, keyFile, ca, pair } = files();
  const made = await served({ certFile, keyFile });
  const [first, shown] = [await visited("127.0.0.1", ca), made.shown()];
  writeFileSync(certFile, pair().certificate);
  await assert.rejects(server!.reload(), /tls\.keyFile .*k\.pem is not the key of the first certificate/);
  assert.equal((await visited("127.0.0.1", ca)).serialNumber, first.serialNumber);
  assert.equal(made.shown(), shown);
});

test("files that have changed are seen without being told, and trouble with them is waited out", async () => {
  const { certFile, keyFile, pair, write } = files();
  const made = await served({ certFile, keyFile });
  const logged: string[] = [];
  let looked = (): void => {};
  const reload = async () => {
    await server!.reload().finally(() => looked());
    logged.push("reloaded");
  };
  void made.keepFresh(reload, stop.signal);
  /** The next look that leads to a reload; those that do not are between. */
  const nextLook = async () => {
    const isOver = new Promise<void>((resolve) => {
      looked = resolve;
    });
    clock.advance(3_600_000);
    await isOver;
    await new Promise((resolve) => setImmediate(resolve));
  };
  writeFileSync(keyFile, pair().key);
  await nextLook();
  assert.deepEqual(logged, []);
  write(pair());
  await nextLook();
  assert.deepEqual(logged, ["reloaded"]);
});
