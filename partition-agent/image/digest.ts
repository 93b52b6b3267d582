import { fail, ok, type Result } from "#lib/result.ts";

/** Where an image lies, and what its SHA-256 must be. */
export interface ImageUrl {
  /** http:, https: or file:, without fragment */
  readonly url: string;
  /** 64 lower-case hex digits; undefined when the URL does not say. */
  readonly sha256: string | undefined;
}

const urlMax = 2048;

/** `https://images.example/debian.tar.zst#sha256=HEX`; the fragment may be left out. */
export function parseImageUrl(text: string): Result<ImageUrl> {
  if (text.length > urlMax) return fail(`image URL of ${text.length} characters exceeds ${urlMax}`);
  if (!URL.canParse(text)) return fail(`image ${text}: a URL is wanted, such as https://images.example/debian.tar.zst`);
  const url = new URL(text);
  const fragment = url.hash;
  url.hash = "";
  if (!["http:", "https:", "file:"].includes(url.protocol))
    return fail(`image ${text}: http:, https: or file: is wanted, not ${url.protocol}`);
  if (url.username !== "" || url.password !== "") return fail(`image URL at ${url.host}: it must not hold credentials`);
  if (fragment === "") return ok({ url: url.href, sha256: undefined });
  const sha256 = parseSha256(fragment.replace(/^#sha256=/, ""));
  if (sha256 === undefined || !fragment.startsWith("#sha256="))
    return fail(`image ${text}: the fragment sha256= and 64 hex digits is wanted, not ${fragment}`);
  return ok({ url: url.href, sha256 });
}

/** @returns 64 lower-case hex digits, or undefined when the text is no SHA-256 */
export const parseSha256 = (text: string): string | undefined =>
  /^[0-9a-fA-F]{64}$/.test(text) ? text.toLowerCase() : undefined;

/** The first word of a file as sha256sum writes it: `HEX  debian.tar.zst`. */
export function parseSidecar(text: string): Result<string> {
  const [word = ""] = text.trim().split(/\s+/, 1);
  const sha256 = parseSha256(word);
  return sha256 === undefined ? fail(`its first word is ${word.slice(0, 80)}, 64 hex digits are wanted`) : ok(sha256);
}

/** Where the digest of an image without one in its URL is looked for. */
export function sidecarUrl(url: string): string {
  const sidecar = new URL(url);
  sidecar.pathname += ".sha256";
  return sidecar.href;
}
