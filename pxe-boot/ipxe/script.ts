import { fail, ok, type Result } from "#lib/result.ts";

// iPXE splits a line at white space and has no quoting: `||`, `&&` and `;` are operators wherever they stand alone, a word that
// begins with `#` makes the rest a comment, and `${` expands a setting (iPXE, src/core/exec.c). So a word that would be read as
// something else is refused; there is no way to escape it.
// Every script ends in a boot or in a loop: firmware that is left at a prompt waits for hands.

const wordLengthMax = 4096;

/** What a server loads over the network and runs. */
export interface NetworkBoot {
  readonly kernelUrl: string;
  /** In the order in which the kernel joins them */
  readonly initrdUrls: readonly string[];
  /** Kernel arguments, one each */
  readonly arguments: readonly string[];
  /** Where this script came from: asked again when something fails */
  readonly scriptUrl: string;
  readonly retrySeconds: number;
}

export function networkBootScript(boot: NetworkBoot): Result<string> {
  const words = [boot.kernelUrl, ...boot.initrdUrls, ...boot.arguments, boot.scriptUrl];
  const wrong = words.map(wordProblem).find((problem) => problem !== undefined);
  if (wrong !== undefined) return fail(wrong);
  const names = boot.initrdUrls.map((_, i) => (i === 0 ? "initrd" : `initrd${i}`));
  // EFI kernels without the LoadFile2 protocol find their initrd by this argument.
  const kernel = ["kernel", boot.kernelUrl, ...names.map((name) => `initrd=${name}`), ...boot.arguments].join(" ");
  return ok(
    script([
      "imgfree",
      `${kernel} || goto failed`,
      ...boot.initrdUrls.map((url, i) => `initrd --name ${names[i]} ${url} || goto failed`),
      "boot || goto failed",
      ":failed",
      "echo holdfast: boot failed",
      ...askAgain(boot.scriptUrl, boot.retrySeconds),
    ]),
  );
}

/**
 * Boots the first disk.
 * @param boot for efi, the program to chain: `exit` would hang EDK2 in its setup or come back to the network
 */
export function localBootScript(
  boot: { readonly firmware: "pcbios" } | { readonly firmware: "efi"; readonly loaderUrl: string },
  again: { readonly scriptUrl: string; readonly retrySeconds: number },
): Result<string> {
  const words = [again.scriptUrl, ...(boot.firmware === "efi" ? [boot.loaderUrl] : [])];
  const wrong = words.map(wordProblem).find((problem) => problem !== undefined);
  if (wrong !== undefined) return fail(wrong);
  const go = boot.firmware === "efi" ? `chain ${boot.loaderUrl}` : "sanboot --no-describe --drive 0x80";
  return ok(
    script([
      `${go} || goto failed`,
      ":failed",
      "echo holdfast: local boot failed",
      ...askAgain(again.scriptUrl, again.retrySeconds),
    ]),
  );
}

/** Says why there is nothing to boot, waits, and asks again. Can always be built: `why` is cleaned, not refused. */
export function waitScript(why: string, scriptUrl: string, retrySeconds: number): Result<string> {
  const wrong = wordProblem(scriptUrl);
  if (wrong !== undefined) return fail(wrong);
  return ok(script([`echo holdfast: ${cleanText(why)}`, ...askAgain(scriptUrl, retrySeconds)]));
}

/** Seconds to wait before asking for the `attempt`th time (from 1): 5, 10, 20, 40, then 60. */
export const retrySeconds = (attempt: number): number => Math.min(60, 5 * 2 ** Math.min(Math.max(attempt - 1, 0), 10));

const script = (lines: readonly string[]): string => `${["#!ipxe", ...lines].join("\n")}\n`;

/**
 * After a failed fetch the address is asked for again too: the lease may have ended, or the port may have moved. Only by
 * DHCPv4: the command `dhcp` would wait for an IPv6 router as well.
 */
const askAgain = (scriptUrl: string, seconds: number): readonly string[] => [
  ":again",
  `sleep ${Math.max(1, Math.min(3600, Math.round(seconds)))}`,
  `chain --replace --autofree ${scriptUrl} ||`,
  "ifconf --configurator dhcp ||",
  "goto again",
];

function wordProblem(word: string): string | undefined {
  if (word === "") return "ipxe word is empty";
  if (word.length > wordLengthMax) return `ipxe word of ${word.length} characters exceeds ${wordLengthMax}`;
  const shown = JSON.stringify(word.length > 80 ? `${word.slice(0, 80)}…` : word);
  if (/[^\x21-\x7e]/.test(word)) return `ipxe word ${shown}: only printable ASCII without spaces can be said`;
  if (word.includes("${")) return `ipxe word ${shown}: \${ would be expanded`;
  if (["||", "&&", ";"].includes(word)) return `ipxe word ${shown} is an operator`;
  if (word.startsWith("#")) return `ipxe word ${shown} would begin a comment`;
  return undefined;
}

const cleanText = (text: string): string =>
  text
    .replace(/[^\x20-\x7e]/g, "?")
    .replaceAll("${", "$(")
    .replace(/(^|\s)(\|\||&&|;|#)/g, "$1.")
    .slice(0, 200);
