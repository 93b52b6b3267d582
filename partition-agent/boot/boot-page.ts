import type { Result } from "#lib/result.ts";
import { localBootScript, networkBootScript, waitScript } from "#pxe-boot/ipxe/script.ts";
import type { BootScript } from "./script.ts";

const retrySeconds = 5;

export interface PageContext {
  /** Where the script itself came from. */
  readonly scriptUrl: string;
  readonly firmware: "pcbios" | "efi";
  /** What an EFI machine chains to start its disk. */
  readonly loaderUrl: string;
}

/** The text of a boot script. One that cannot be said becomes one that says why and asks again. */
export function bootPage(script: BootScript, context: PageContext): string {
  const page = pageOf(script, context);
  if (page.ok) return page.value;
  const wait = waitScript(page.error, context.scriptUrl, retrySeconds);
  return wait.ok ? wait.value : "#!ipxe\nsleep 60\nreboot\n";
}

function pageOf(script: BootScript, { scriptUrl, firmware, loaderUrl }: PageContext): Result<string> {
  const again = { scriptUrl, retrySeconds };
  switch (script.kind) {
    case "later":
      return waitScript(script.why, scriptUrl, retrySeconds);
    case "disk":
      return localBootScript(firmware === "efi" ? { firmware, loaderUrl } : { firmware }, again);
    case "installer":
      return networkBootScript({
        kernelUrl: script.kernelUrl,
        initrdUrls: [script.initrdUrl],
        arguments: script.commandline.split(/\s+/).filter((word) => word !== ""),
        ...again,
      });
  }
}
