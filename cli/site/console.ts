import type { Client } from "@connectrpc/connect";
import type { SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import { type Cli, note, say, type Terminal } from "../cli.ts";
import { keysIn, type Place } from "./keys.ts";
import { type SiteFlags, withSite } from "./with-site.ts";

const left = new Error("the user left");
/** Of one call. */
const inputMax = 4096;

export async function siteConsole(
  this: Cli,
  flags: SiteFlags & { readonly takeOver?: boolean },
  machine: string,
): Promise<void> {
  await withSite(this, flags, async (site) => {
    const over = linkedSignal(this.signal);
    const text = new TextDecoder();
    let terminal: Terminal | undefined;
    let typing: Promise<void> | undefined;
    try {
      const request = { machine, takeOver: flags.takeOver ?? false };
      for await (const view of site.openConsole(request, { timeoutMs: 0, signal: over.signal })) {
        if (!typing) {
          note(this, `console of ${view.uuid}: ~. at the beginning of a line leaves it, ~b sends a break\r`);
          // Not before: until then Ctrl-C is ours.
          terminal = this.openTerminal();
          typing = types(site, view.console, terminal, over.signal).then(
            (how) => (how === "left" ? over.abort(left) : undefined),
            (error) => over.abort(error),
          );
        }
        say(this, text.decode(view.output, { stream: true }));
      }
      note(this, "the console was ended\r");
    } catch (error) {
      if (over.signal.reason !== left) throw over.signal.aborted ? over.signal.reason : error;
    } finally {
      over.abort(left);
      await typing;
      terminal?.close();
      over.unlink();
    }
  });
}

/** Takes keys to the server. @returns how that ended */
async function types(
  site: Client<typeof SiteService>,
  console: string,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<"left" | "no more keys"> {
  let at: Place = "line start";
  for await (const typed of terminal.typed(signal)) {
    for (let rest = typed; rest.length > 0; ) {
      const keys = keysIn(rest, at);
      ({ rest, at } = keys);
      for (let i = 0; i < keys.input.length; i += inputMax)
        await site.writeConsole({ console, input: keys.input.slice(i, i + inputMax) }, { signal });
      if (keys.meant === "leave") return "left";
      if (keys.meant === "break") await site.writeConsole({ console, sendBreak: true }, { signal });
    }
  }
  return "no more keys";
}
