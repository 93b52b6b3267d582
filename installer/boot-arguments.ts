import { type Mac, parseMac } from "#lib/net/mac.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { Secret } from "#lib/secret.ts";

/** What the boot script put on the kernel's command line for us. */
export interface BootArguments {
  /** Of the agent, without a trailing slash, such as http://10.77.0.1:8080. */
  readonly url: string;
  /** Bound to the MAC that booted, to this boot, and to the machine when it was known. */
  readonly token: Secret;
  /** The interface that the firmware booted from. */
  readonly mac: Mac | undefined;
  readonly partition: string;
  /** How the installed system is started. */
  readonly start: "kexec" | "reboot";
}

/** @param text /proc/cmdline; words that are not ours are passed over, and of a repeated one the last counts, as for the kernel */
export function bootArguments(text: string): Result<BootArguments> {
  const words = new Map<string, string>();
  for (const word of text.trim().split(/\s+/)) {
    const at = word.indexOf("=");
    if (at > 0 && word.startsWith("holdfast.")) words.set(word.slice("holdfast.".length, at), word.slice(at + 1));
  }
  const url = (words.get("url") ?? "").replace(/\/+$/, "");
  if (!/^http:\/\/[^/\s]+/.test(url))
    return fail(`kernel command line: holdfast.url is ${url || "missing"}; http://ADDRESS:PORT is wanted`);
  const token = words.get("token") ?? "";
  if (token === "") return fail("kernel command line: holdfast.token is missing");
  const mac = words.has("mac") ? parseMac(words.get("mac") ?? "") : ok(undefined);
  if (!mac.ok) return fail(`kernel command line: holdfast.mac: ${mac.error}`);
  const start = words.get("boot") ?? "kexec";
  if (start !== "kexec" && start !== "reboot")
    return fail(`kernel command line: holdfast.boot is ${start}; kexec or reboot is wanted`);
  return ok({ url, token: new Secret(token), mac: mac.value, partition: words.get("partition") ?? "", start });
}
