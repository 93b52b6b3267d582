import { Refusal } from "#lib/refusal.ts";

/**
 * Asks whether something can be fetched there, within a time limit.
 * @returns why it cannot; undefined when it can, or when central is not who has to fetch it (`file:` is of the datacenter)
 */
export type UrlProbe = (url: string) => Promise<string | undefined>;

/** @throws Refusal "invalid" URL_UNREACHABLE that names the URL and what was answered */
export async function checkUrl(
  { probeUrl }: { readonly probeUrl?: UrlProbe },
  { what, url, field }: { readonly what: string; readonly url: string; readonly field: string },
): Promise<void> {
  const why = url === "" ? undefined : await probeUrl?.(url);
  if (why === undefined) return;
  const text = `${what}: ${url} cannot be fetched: ${why}; correct it, or set probeUrls to false where central cannot reach it`;
  throw new Refusal("invalid", text, { reason: "URL_UNREACHABLE", field });
}
