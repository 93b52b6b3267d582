import { reasonOf } from "#lib/reason-of.ts";
import type { UrlProbe } from "../catalog/url.ts";

const deadlineMsDefault = 5_000;
/** Answers of servers that know no HEAD, or allow it to nobody: the first byte is asked for instead. */
const noHead: ReadonlySet<number> = new Set([403, 405, 501]);

/** Probes by http: and https:, redirections followed; the content is not read. */
export const urlProbe =
  (deadlineMs = deadlineMsDefault): UrlProbe =>
  async (url) => {
    if (!/^https?:/i.test(url)) return undefined;
    const signal = AbortSignal.timeout(deadlineMs);
    try {
      const head = await fetch(url, { method: "HEAD", signal });
      if (head.ok) return undefined;
      if (!noHead.has(head.status)) return `HTTP ${head.status}`;
      const first = await fetch(url, { headers: { range: "bytes=0-0" }, signal });
      await first.body?.cancel();
      return first.ok ? undefined : `HTTP ${first.status}`;
    } catch (error) {
      if (signal.aborted) return `no answer within ${deadlineMs} ms`;
      const { cause } = error as { readonly cause?: unknown };
      return reasonOf(cause ?? error);
    }
  };
