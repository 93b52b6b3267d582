import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Fetched } from "../image/ports.ts";
import { imageSource } from "./image-source.ts";

const root = mkdtempSync(path.join(tmpdir(), "holdfast-image-source-"));
after(() => rmSync(root, { recursive: true }));
const file = path.join(root, "local image.tar");
const url = pathToFileURL(file).href;
const source = imageSource();
const { signal } = new AbortController();

async function textOf(fetched: Fetched | undefined): Promise<string> {
  let text = "";
  for await (const chunk of fetched?.chunks ?? assert.fail("it is there")) text += new TextDecoder().decode(chunk);
  return text;
}

test("a file is sent from where the last time ended, as long as it is the same", async () => {
  writeFileSync(file, "0123456789");
  const whole = await source.get({ url, offset: 0, validator: undefined }, signal);
  assert.deepEqual([whole?.offset, whole?.totalBytes], [0, 10]);
  assert.equal(await textOf(whole), "0123456789");
  const rest = await source.get({ url, offset: 6, validator: whole?.validator }, signal);
  assert.deepEqual([rest?.offset, rest?.totalBytes, await textOf(rest)], [6, 10, "6789"]);
  const nothing = await source.get({ url, offset: 10, validator: whole?.validator }, signal);
  assert.equal(await textOf(nothing), "");
  utimesSync(file, 1, 1);
  const changed = await source.get({ url, offset: 6, validator: whole?.validator }, signal);
  assert.deepEqual([changed?.offset, await textOf(changed)], [0, "0123456789"]);
});

test("a file that is not there is none, and a folder is an error", async () => {
  assert.equal(await source.get({ url: `${url}.none`, offset: 0, validator: undefined }, signal), undefined);
  const folder = { url: pathToFileURL(root).href, offset: 0, validator: undefined };
  await assert.rejects(source.get(folder, signal), /a file is wanted, and that is none/);
});
