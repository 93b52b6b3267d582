// What outlives the process beside the images themselves: which URL had which digest, and when an image was last used.
import * as v from "valibot";
import { fail, ok, type Result } from "#lib/result.ts";

const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const schema = v.object({
  version: v.literal(1),
  /** By SHA-256. */
  objects: v.record(sha256, v.object({ sizeBytes: wholeNumber, usedAtMs: wholeNumber })),
  /** URL without fragment → SHA-256, as its source or the first download said. */
  urls: v.record(v.string(), sha256),
});

export type ImageIndex = v.InferOutput<typeof schema>;

export const emptyIndex = (): ImageIndex => ({ version: 1, objects: {}, urls: {} });

/** Most URLs that are remembered; the oldest go first. */
const urlsMax = 1000;

export function encodeIndex(index: ImageIndex): string {
  const urls = Object.fromEntries(Object.entries(index.urls).slice(-urlsMax));
  return `${JSON.stringify({ ...index, urls }, undefined, 1)}\n`;
}

export function decodeIndex(text: string): Result<ImageIndex> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail("image index: not JSON");
  }
  const result = v.safeParse(schema, json);
  if (result.success) return ok(result.output);
  const [issue] = result.issues;
  return fail(`image index: ${v.getDotPath(issue) ?? "top"}: ${issue.message}`);
}
