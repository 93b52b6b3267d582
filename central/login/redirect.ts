import { fail, ok, type Result } from "#lib/result.ts";

/** It has to fit into a cookie, with what goes beside it. */
const lengthMax = 1_024;

/** A program of the user's own computer. @source RFC 8252 §7.3: any port. */
const isLoopback = ({ protocol, hostname }: URL): boolean =>
  protocol === "http:" && ["127.0.0.1", "localhost", "[::1]"].includes(hostname);

/**
 * Where a token may be sent: to a program on the user's own computer, or to what the configuration lists, exactly. It is compared
 * as a browser reads it, so that no spelling leads elsewhere.
 * @param allowed URLs without query
 */
export function redirectTarget(text: string, allowed: readonly string[]): Result<URL> {
  if (text.length > lengthMax) return fail(`redirect-url of ${text.length} characters exceeds ${lengthMax}`);
  if (!URL.canParse(text)) return fail("redirect-url: a URL is wanted");
  const url = new URL(text);
  if (url.username !== "" || url.password !== "" || url.hash !== "") {
    return fail("redirect-url: a URL without user and # is wanted");
  }
  const place = `${url.origin}${url.pathname}`;
  if (isLoopback(url) || allowed.some((known) => new URL(known).href === place)) return ok(url);
  return fail(`redirect-url ${place.slice(0, 128)} is not among those of login.redirects`);
}
