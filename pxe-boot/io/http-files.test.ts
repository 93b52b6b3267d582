import assert from "node:assert/strict";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { silentLog } from "#lib/log.ts";
import type { FileSource, OpenFile } from "../files/file-source.ts";
import { MemorySource } from "../files/memory-source.ts";
import { httpFiles } from "./http-files.ts";

const big = Uint8Array.from({ length: 3 * 2 ** 20 + 17 }, (_, i) => (i * 31) & 255);
const memory = new MemorySource({ "big.bin": big, "a b.efi": big.subarray(0, 5) });
let open = 0;
let closed: () => void = () => {};

/** Counts what is open; `endless` never ends, `broken` fails in the middle, `down` cannot be opened. */
const source: FileSource = {
  open: async (name) => {
    if (name === "down") throw new Error("disk on fire");
    const file = name === "endless" || name === "broken" ? unreal(name) : await memory.open(name);
    if (file) open++;
    return (
      file && {
        ...file,
        close: async () => {
          open--;
          closed();
        },
      }
    );
  },
};
const unreal = (name: string): OpenFile => ({
  sizeBytes: 2 ** 40,
  etag: name,
  read: async (offset, into) => {
    if (name === "broken" && offset > 0) throw new Error("disk on fire");
    return into.length;
  },
  close: async () => {},
});

const handler = httpFiles("/boot/", source, silentLog);
const server = createServer(async (request, response) => {
  if (!(await handler(request, response))) response.writeHead(418).end();
});
let base = "";
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => server.close());

const get = (path: string, init: RequestInit = {}) => fetch(`${base}${path}`, init);
const status = async (path: string, init: RequestInit = {}) => {
  const response = await get(path, init);
  await response.arrayBuffer();
  return response.status;
};

test("a file arrives whole, and a range as that part of it", async () => {
  assert.deepEqual(new Uint8Array(await (await get("/boot/big.bin?x=1")).arrayBuffer()), big);
  const part = await get("/boot/big.bin", { headers: { range: "bytes=1048570-1048585" } });
  assert.equal(part.status, 206);
  assert.deepEqual(new Uint8Array(await part.arrayBuffer()), big.slice(1_048_570, 1_048_586));
  assert.deepEqual(new Uint8Array(await (await get("/boot/a%20b.efi")).arrayBuffer()), big.slice(0, 5));
});

test("HEAD has the length of the file", async () => {
  const head = await get("/boot/big.bin", { method: "HEAD" });
  assert.deepEqual([head.status, head.headers.get("content-length")], [200, String(big.length)]);
});

test("other paths are left to others; wrong ones are refused", async () => {
  assert.equal(await status("/other"), 418);
  assert.equal(await status("/boot/missing"), 404);
  assert.equal(await status("/boot/%2e%2e/secret"), 418, "clients resolve it before they ask");
  assert.equal(await status("/boot/a%2f..%2f..%2fsecret"), 400);
  assert.equal(await status("/boot/%zz"), 400);
  assert.equal(await status("/boot/big.bin", { method: "POST" }), 405);
  assert.equal(await status("/boot/down"), 500);
  assert.equal(open, 0);
});

test("a client that goes away in the middle leaves no file open", async () => {
  const done = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const request = httpRequest(`${base}/boot/endless`, (response) => response.once("data", () => request.destroy()));
  request.on("error", () => {});
  request.end();
  await done;
  assert.equal(open, 0);
});

test("a file that fails in the middle breaks the connection instead of ending short", async () => {
  await assert.rejects(async () => (await get("/boot/broken")).arrayBuffer());
  assert.equal(open, 0);
});
