import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import type { LogFields } from "#lib/log.ts";
import { silentLog } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { openImageCache } from "../io/image-cache.ts";
import { DigestMismatch, type Progress } from "./download.ts";
import type { ImageCache, ImageCacheOptions } from "./image-cache.ts";

const root = mkdtempSync(path.join(tmpdir(), "holdfast-images-"));
const content = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
const etagOf = (bytes: Uint8Array): string => `"${digestOf(bytes).slice(0, 8)}"`;
const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const sha256 = digestOf(content);
/** Of a caller who never gives up. */
const never = (): AbortSignal => new AbortController().signal;

/** What the server has, by path, and what it does wrong; set by each test. */
let files: Record<string, Uint8Array | string> = {};
let asked: string[] = [];
let fault: ((request: IncomingMessage, response: ServerResponse, body: Uint8Array) => boolean) | undefined;
const server = createServer((request, response) => {
  const { range, "if-range": ifRange } = request.headers;
  asked.push(`${request.url}${range ? ` ${range}` : ""}`);
  const file = files[request.url ?? ""];
  if (file === undefined) return void response.writeHead(404).end();
  const body = typeof file === "string" ? new TextEncoder().encode(file) : file;
  if (fault?.(request, response, body)) return;
  const etag = etagOf(body);
  const first = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  if (first === 0 || (ifRange !== undefined && ifRange !== etag))
    return void response.writeHead(200, { "content-length": body.length, etag }).end(body);
  if (first >= body.length) return void response.writeHead(416, { "content-range": `bytes */${body.length}` }).end();
  const rest = body.subarray(first);
  const contentRange = `bytes ${first}-${body.length - 1}/${body.length}`;
  response.writeHead(206, { "content-length": rest.length, "content-range": contentRange, etag }).end(rest);
});
let base = "";

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  files = {};
  asked = [];
  fault = undefined;
});
after(() => {
  server.close();
  server.closeAllConnections();
  rmSync(root, { recursive: true });
});

let folders = 0;
const newFolder = (): string => path.join(root, String(++folders));

function recorder() {
  const events: string[] = [];
  const record = (event: string, _fields?: LogFields): void => void events.push(event);
  return { events, log: { ...silentLog, info: record, warn: record } };
}

async function opened(
  folder = newFolder(),
  options: Partial<ImageCacheOptions> & { stallMs?: number } = {},
  clock = new VirtualClock(),
): Promise<{ cache: ImageCache; folder: string; events: string[]; clock: VirtualClock }> {
  const { events, log } = recorder();
  const cache = await openImageCache(folder, { bytesMax: 10_000_000, ...options }, { clock, log });
  return { cache, folder, events, clock };
}

const wanted = (name = "/a.tar", digest = sha256) => ({ url: `${base}${name}#sha256=${digest}` });
const unnamed = (name = "/a.tar") => ({ url: `${base}${name}` });
const leftovers = (folder: string) => [...readdirSync(`${folder}/parts`), ...readdirSync(`${folder}/objects`)];

/** Fetches an image from a server that sends half of it, and breaks off when that has arrived. */
async function breaksOff(cache: ImageCache, image: { readonly url: string }): Promise<void> {
  let cut = (): void => undefined;
  fault = (request, response, body) => {
    if (request.url?.endsWith(".sha256")) return false;
    response.writeHead(200, { "content-length": body.length, etag: etagOf(body) });
    response.write(body.subarray(0, body.length / 2));
    cut = () => response.destroy();
    return true;
  };
  const onProgress = ({ receivedBytes }: Progress): void => void (receivedBytes >= content.length / 2 && cut());
  await assert.rejects(
    cache.ensure({ ...image, onProgress }, never()),
    /image http.*a\.tar: its source cannot be read/,
  );
  fault = undefined;
}

test("an image is fetched once, verified, and then given without asking anybody", async () => {
  files = { "/a.tar": content };
  const { cache, folder } = await opened();
  const progress: Progress[] = [];
  const image = await cache.ensure({ ...wanted(), onProgress: (p) => progress.push(p) }, never());
  assert.deepEqual(image, { path: path.join(folder, "objects", sha256), sha256, sizeBytes: content.length });
  assert.deepEqual(new Uint8Array(readFileSync(image.path)), content);
  assert.deepEqual(progress.at(-1), { receivedBytes: content.length, totalBytes: content.length });
  assert.deepEqual(await cache.ensure(wanted(), never()), image);
  assert.deepEqual(asked, ["/a.tar"]);
  assert.deepEqual(leftovers(folder), [sha256]);
});

test("content that is not what was promised is refused by name, thrown away and never served", async () => {
  files = { "/a.tar": content };
  const { cache, folder } = await opened();
  const other = "b".repeat(64);
  await assert.rejects(cache.ensure(wanted("/a.tar", other), never()), (error) => {
    assert.ok(error instanceof DigestMismatch);
    assert.equal(error.message, `image ${base}/a.tar: sha256 is ${sha256}, ${other} was promised`);
    return true;
  });
  assert.equal(await cache.open(other), undefined);
  assert.equal(await cache.open(sha256), undefined);
  assert.deepEqual(readdirSync(`${folder}/objects`), []);
});

test("a download that broke off goes on where it ended", async () => {
  files = { "/a.tar": content };
  const { cache } = await opened();
  await breaksOff(cache, wanted());
  await cache.ensure(wanted(), never());
  assert.deepEqual(asked, ["/a.tar", "/a.tar bytes=150000-"]);
});

test("goes on after a restart as well, and is whole", async () => {
  files = { "/a.tar": content };
  const { cache, folder } = await opened();
  await breaksOff(cache, wanted());
  const image = await (await opened(folder)).cache.ensure(wanted(), never());
  assert.deepEqual(new Uint8Array(readFileSync(image.path)), content);
  assert.deepEqual(asked, ["/a.tar", "/a.tar bytes=150000-"]);
});

test("a part of a file that was replaced meanwhile is not completed with the new one", async () => {
  files = { "/a.tar": content };
  const { cache } = await opened();
  await breaksOff(cache, unnamed());
  const other = content.toReversed();
  files = { "/a.tar": other };
  const image = await cache.ensure(unnamed(), never());
  assert.equal(image.sha256, digestOf(other));
});

test("a part that was whole already is completed without sending it again", async () => {
  files = { "/a.tar": content };
  const { cache, folder } = await opened();
  await breaksOff(cache, wanted());
  const part = readdirSync(`${folder}/parts`).find((name) => !name.endsWith(".validator"));
  writeFileSync(path.join(folder, "parts", part ?? "?"), content);
  assert.equal((await (await opened(folder)).cache.ensure(wanted(), never())).sizeBytes, content.length);
  assert.deepEqual(asked, ["/a.tar", "/a.tar bytes=300000-"]);
});

test("a server without ranges sends all again", async () => {
  files = { "/a.tar": content };
  const { cache } = await opened();
  await breaksOff(cache, wanted());
  fault = (_, response, body) => {
    response.end(body);
    return true;
  };
  const image = await cache.ensure(wanted(), never());
  assert.equal(digestOf(readFileSync(image.path)), sha256);
});

test("a file that ends early without an error is noticed by its length or its digest", async () => {
  files = { "/a.tar": content };
  const { cache } = await opened();
  fault = (_, response, body) => {
    response.end(body.subarray(0, 1000));
    return true;
  };
  await assert.rejects(cache.ensure(wanted(), never()), DigestMismatch);
});

test("many who ask for one image at a time share one download", async () => {
  files = { "/a.tar": content };
  const { cache } = await opened();
  const images = await Promise.all(Array.from({ length: 20 }, () => cache.ensure(wanted(), never())));
  assert.equal(new Set(images.map((i) => i.path)).size, 1);
  assert.deepEqual(asked, ["/a.tar"]);
});

test("one who gives up does not end the download of the others; the last one does", async () => {
  files = { "/a.tar": content };
  const { cache } = await opened();
  let send = (): void => undefined;
  fault = (_, response, body) => {
    send = () => response.end(body);
    return true;
  };
  const arrived = async () => {
    while (asked.length === 0) await new Promise(setImmediate);
  };
  const stop = new AbortController();
  const first = cache.ensure(wanted(), stop.signal);
  const second = cache.ensure(wanted(), never());
  await arrived();
  stop.abort(new Error("enough"));
  await assert.rejects(first, /enough/);
  send();
  assert.equal((await second).sha256, sha256);

  const { cache: other } = await opened();
  asked = [];
  const last = new AbortController();
  const alone = other.ensure(wanted(), last.signal);
  await arrived();
  last.abort(new Error("enough"));
  await assert.rejects(alone, /enough/);
  fault = undefined;
  assert.equal((await other.ensure(wanted(), never())).sha256, sha256);
});

test("without a digest in the URL, the file beside it is asked", async () => {
  files = { "/a.tar": content, "/a.tar.sha256": `${sha256}  a.tar\n` };
  const { cache, events } = await opened();
  assert.equal((await cache.ensure(unnamed(), never())).sha256, sha256);
  assert.deepEqual(asked, ["/a.tar.sha256", "/a.tar"]);
  assert.deepEqual(events, ["image-fetched"]);
  const other = content.toReversed();
  files = { "/a.tar": other, "/a.tar.sha256": digestOf(other) };
  assert.equal((await cache.ensure(unnamed(), never())).sha256, digestOf(other));
});

test("a file beside it that is no digest is an error, not a reason to trust", async () => {
  files = { "/a.tar": content, "/a.tar.sha256": "<html>" };
  const { cache } = await opened();
  await assert.rejects(cache.ensure(unnamed(), never()), /a\.tar\.sha256: its first word is <html>/);
});

test("a new digest that the new content does not have is told, though the old image is here", async () => {
  files = { "/a.tar": content, "/a.tar.sha256": sha256 };
  const { cache } = await opened();
  await cache.ensure(unnamed(), never());
  files = { "/a.tar": content, "/a.tar.sha256": "c".repeat(64) };
  await assert.rejects(cache.ensure(unnamed(), never()), DigestMismatch);
});

test("without any digest the first content is trusted, with a warning, and another one later is refused", async () => {
  files = { "/a.tar": content };
  const { cache, folder, events } = await opened();
  const { path: file } = await cache.ensure(unnamed(), never());
  assert.deepEqual(events, ["image-fetched", "image-trusted-on-first-use"]);
  files = { "/a.tar": content.toReversed() };
  assert.equal((await cache.ensure(unnamed(), never())).sha256, sha256);
  rmSync(file);
  const again = await opened(folder);
  await assert.rejects(again.cache.ensure(unnamed(), never()), /was promised/);
});

test("what is here is given while its source is away, also after a restart", async () => {
  files = { "/a.tar": content, "/a.tar.sha256": sha256 };
  const { cache, folder } = await opened();
  await cache.ensure(unnamed(), never());
  fault = (_, response) => {
    response.destroy();
    return true;
  };
  for (const c of [cache, (await opened(folder)).cache])
    assert.equal((await c.ensure(unnamed(), never())).sha256, sha256);
  await assert.rejects(cache.ensure(wanted("/a.tar", "d".repeat(64)), never()), /its source cannot be read/);
});

test("what changed on disk while nobody looked is fetched again", async () => {
  files = { "/a.tar": content };
  const { cache, folder } = await opened();
  const { path: file } = await cache.ensure(wanted(), never());
  truncateSync(file, 5);
  const short = await opened(folder);
  assert.deepEqual(short.events, ["image-damaged"], "the size is checked when the folder is read");
  await short.cache.ensure(wanted(), never());
  writeFileSync(file, content.toReversed());
  const { cache: third, events } = await opened(folder);
  assert.deepEqual(events, []);
  assert.equal(await third.open(sha256), undefined, "the digest is checked at the first use");
  assert.deepEqual(events, ["image-damaged"]);
  assert.equal((await third.ensure(wanted(), never())).sha256, sha256);
});

test("a broken index costs what it knew, not the images", async () => {
  files = { "/a.tar": content };
  const { cache, folder } = await opened();
  await cache.ensure(wanted(), never());
  writeFileSync(path.join(folder, "index.json"), "{");
  const { cache: again, events } = await opened(folder);
  assert.deepEqual(events, ["image-index-lost"]);
  await again.ensure(wanted(), never());
  assert.equal(asked.length, 1);
});

test("files are served by their digest, and by nothing else", async () => {
  files = { "/a.tar": content };
  const { cache } = await opened();
  await cache.ensure(wanted(), never());
  const file = (await cache.open(sha256)) ?? assert.fail("it is here");
  assert.deepEqual([file.sizeBytes, file.etag], [content.length, sha256]);
  const bytes = new Uint8Array(100);
  assert.deepEqual(bytes.subarray(0, await file.read(299_990, bytes)), content.subarray(299_990));
  await file.close();
  for (const name of ["../index.json", "index.json", "", "e".repeat(64)])
    assert.equal(await cache.open(name), undefined);
});

test("when room is needed the image goes that was not used for the longest time, unless it is open", async () => {
  const small = ["1", "2", "3"].map((n) => new TextEncoder().encode(n.repeat(100)));
  files = Object.fromEntries(small.map((bytes, i) => [`/${i}`, bytes]));
  const { cache, folder, clock } = await opened(newFolder(), { bytesMax: 250 });
  const [first, second, third] = small.map(digestOf) as [string, string, string];
  await cache.ensure(wanted("/0", first), never());
  clock.advance(1);
  await cache.ensure(wanted("/1", second), never());
  const open = (await cache.open(first)) ?? assert.fail("it is here");
  clock.advance(1);
  await cache.ensure(wanted("/2", third), never());
  assert.deepEqual(readdirSync(`${folder}/objects`).sort(), [first, third].sort());
  const alsoOpen = await cache.open(third);
  await assert.rejects(cache.ensure(wanted("/1", second), never()), (error) => {
    assert.ok(error instanceof Refusal && error.code === "exhausted");
    assert.match(error.message, /100 bytes do not fit: the cache holds at most 250, and the rest of it is in use/);
    return true;
  });
  await open.close();
  await alsoOpen?.close();
  await cache.ensure(wanted("/1", second), never());
});

test("an image that its user still needs stays", async () => {
  const [one, two] = ["1", "2"].map((n) => new TextEncoder().encode(n.repeat(100))) as [Uint8Array, Uint8Array];
  files = { "/1": one, "/2": two };
  const { cache } = await opened(newFolder(), { bytesMax: 150, isNeeded: (d) => d === digestOf(one) });
  await cache.ensure(wanted("/1", digestOf(one)), never());
  await assert.rejects(cache.ensure(wanted("/2", digestOf(two)), never()), /do not fit/);
});

test("parts of former downloads go before images do", async () => {
  const one = new TextEncoder().encode("1".repeat(100));
  files = { "/1": one, "/a.tar": content };
  const { cache, folder } = await opened(newFolder(), { bytesMax: 300_050 });
  await breaksOff(cache, wanted());
  const full = await opened(folder, { bytesMax: 150_050 });
  await full.cache.ensure(wanted("/1", digestOf(one)), never());
  assert.deepEqual(leftovers(folder), [digestOf(one)]);
});

test("more downloads than may run are refused", async () => {
  files = { "/a": content, "/b": content };
  fault = () => true;
  const { cache } = await opened(newFolder(), { downloadsMax: 1 });
  const stop = new AbortController();
  const first = cache.ensure(wanted("/a"), stop.signal);
  await new Promise(setImmediate);
  await assert.rejects(cache.ensure(wanted("/b"), never()), /1 images are being fetched; ask again later/);
  stop.abort(new Error("enough"));
  await assert.rejects(first, /enough/);
});

test("a source that falls silent is given up", async () => {
  files = { "/a.tar": content };
  fault = (_, response, body) => {
    response.writeHead(200, { "content-length": body.length });
    response.write(body.subarray(0, 10));
    return true;
  };
  const { cache } = await opened(newFolder(), { stallMs: 50 });
  await assert.rejects(cache.ensure(wanted(), never()), /its source sent nothing for 50 ms/);
});

test("what the source says instead of the file is told", async () => {
  const { cache } = await opened();
  await assert.rejects(cache.ensure(wanted("/none"), never()), /image http:.*\/none: its source has no such file/);
  files = { "/a.tar": content };
  fault = (_, response) => {
    response.writeHead(503).end();
    return true;
  };
  await assert.rejects(cache.ensure(wanted(), never()), /its source answers 503 Service Unavailable/);
  await assert.rejects(cache.ensure({ url: "ftp://x/y" }, never()), Refusal);
  await assert.rejects(cache.ensure({ url: `${base}/a.tar`, sha256: "12" }, never()), /64 hex digits are wanted/);
});
