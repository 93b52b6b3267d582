import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, test } from "node:test";
import { listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { MemorySource } from "#pxe-boot/files/memory-source.ts";
import { type BootingClient, bootHttp } from "./boot-http.ts";

const asked: { client: BootingClient; scriptUrl: string }[] = [];
const port = await listen(
  {
    routes: () => {},
    http: bootHttp({
      url: "http://10.0.0.1:8080",
      files: new MemorySource({}),
      bootPrograms: new MemorySource({ "local.efi": new Uint8Array([1, 2, 3]) }),
      script: async (client, { scriptUrl }) => {
        asked.push({ client, scriptUrl });
        return "#!ipxe\n";
      },
      phoneHome: async (token) => {
        if (token === "over") return "gone";
        if (token === "early") throw new Refusal("unavailable", "nothing has come from central of it");
        if (token !== "good") throw new Refusal("unauthenticated", "the token is not one of this agent");
        return "welcome";
      },
      authorizedKeys: async (token) => (token === "over" ? "gone" : { keys: `ssh-ed25519 AAAA ${token}\n` }),
      log: silentLog,
    }),
    limits: { headersMs: 300, drainMs: 100 },
    log: silentLog,
  },
  { host: "127.0.0.1", port: 0 },
);
after(() => port.stop());

const at = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${port.port}${path}`, init);

test("a booting machine is given a script, and the script names its own place anew", async () => {
  asked.length = 0;
  const uuid = "2F1D2CF4-7F0C-4A58-A2F1-B1A4CBB1A001";
  const answer = await at(`/boot.ipxe?mac=02-00-00-00-00-0A&uuid=${uuid}&firmware=pcbios&more=%24%7Bevil%7D`);
  assert.deepEqual([answer.status, await answer.text()], [200, "#!ipxe\n"]);
  assert.deepEqual(asked, [
    {
      client: { mac: "02:00:00:00:00:0a", uuid: uuid.toLowerCase(), firmware: "pcbios" },
      scriptUrl: `http://10.0.0.1:8080/boot.ipxe?mac=02%3A00%3A00%3A00%3A00%3A0a&uuid=${uuid.toLowerCase()}&firmware=pcbios`,
    },
  ]);
});

test("what a query says beyond reason is taken for not said", async () => {
  asked.length = 0;
  await at("/boot.ipxe?mac=02:00:00:00:00:0a&uuid=all-zero&firmware=coreboot");
  assert.deepEqual(asked[0]?.client, { mac: "02:00:00:00:00:0a", uuid: undefined, firmware: undefined });
});

test("an installed system asks for its keys by GET, and is told when its allocation is over", async () => {
  const answer = await at("/authorized-keys?token=good");
  assert.deepEqual([answer.status, await answer.text()], [200, "ssh-ed25519 AAAA good\n"]);
  assert.equal((await at("/authorized-keys?token=over")).status, 410);
  assert.equal((await at("/authorized-keys?token=good", { method: "POST" })).status, 405);
});

test("HEAD on a script begins no boot", async () => {
  asked.length = 0;
  const answer = await at("/boot.ipxe?mac=02:00:00:00:00:0a", { method: "HEAD" });
  assert.equal(answer.status, 200);
  assert.deepEqual(asked, []);
});

test("garbage is refused with its reason, and reaches nobody", async () => {
  asked.length = 0;
  const rows: [string, RequestInit, number][] = [
    ["/boot.ipxe", {}, 400],
    ["/boot.ipxe?mac=%ff%00", {}, 400],
    ["/boot.ipxe?mac=%", {}, 400],
    ["/boot.ipxe?mac=02:00:00:00:00:0a", { method: "DELETE" }, 405],
    [`/boot.ipxe?mac=02:00:00:00:00:0a&x=${"x".repeat(3000)}`, {}, 414],
    ["/metadata", {}, 404],
    ["/", {}, 404],
    ["/boot.ipxe/", {}, 404],
    ["/files/../../etc/passwd", {}, 404],
    ["/files/%2e%2e%2fpasswd", {}, 400],
    [`/files/${"0".repeat(64)}`, {}, 404],
    ["/boot/local.efi", { method: "POST" }, 405],
  ];
  for (const [path, init, status] of rows) assert.equal((await at(path, init)).status, status, path.slice(0, 60));
  assert.equal((await at(`/boot.ipxe?x=${"x".repeat(40_000)}`)).status, 431);
  assert.deepEqual(asked, []);
});

test("firmware is served its programs, also by HEAD and in parts", async () => {
  const head = await at("/boot/local.efi", { method: "HEAD" });
  assert.deepEqual([head.status, head.headers.get("content-length")], [200, "3"]);
  const part = await at("/boot/local.efi", { headers: { range: "bytes=1-" } });
  assert.deepEqual([part.status, [...new Uint8Array(await part.arrayBuffer())]], [206, [2, 3]]);
});

test("a phone-home is welcome, over, too early, or nobody's", async () => {
  const post = async (token: string) => (await at(`/phone-home?token=${token}`, { method: "POST" })).status;
  assert.deepEqual(await Promise.all(["good", "over", "early", "bad"].map(post)), [200, 410, 503, 401]);
  assert.equal((await at("/phone-home?token=good")).status, 405);
});

test("request lines that make no URL are answered, and the port goes on", async () => {
  for (const target of ["//", "http://[", "*", "/%zz", "//evil/boot.ipxe?mac=02:00:00:00:00:0a"]) {
    const socket = connect(port.port, "127.0.0.1");
    socket.end(`GET ${target} HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n`);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    await once(socket, "close");
    assert.match(text, /^HTTP\/1\.1 40[04] /, target);
  }
  assert.equal((await at("/boot.ipxe?mac=02:00:00:00:00:0a")).status, 200);
});

test("a client that never ends its request is cut off", async () => {
  const socket = connect(port.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write("GET /boot.ipxe HTTP/1.1\r\nHost: a\r\nX-Slow: ");
  socket.resume();
  await once(socket, "close");
});
