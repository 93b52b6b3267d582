// Small languages of the command line: what stands behind a flag.
import { fail, ok, type Result } from "#lib/result.ts";

/** `key=value`, or `key` alone for an empty value; a key twice is refused. */
export function parseLabels(given: readonly string[]): Result<Record<string, string>> {
  const labels: Record<string, string> = {};
  for (const text of given) {
    const [, key = "", value = ""] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? [];
    if (key.trim() === "") return fail(`label ${text}: key=value is wanted`);
    if (Object.hasOwn(labels, key)) return fail(`label ${key} is given twice`);
    labels[key] = value;
  }
  return ok(labels);
}

export interface AskedNetwork {
  readonly network: string;
  readonly ips: readonly string[];
}

/** `NETWORK`, or `NETWORK=IP,IP` for addresses that exist already. */
export function parseNetwork(text: string): Result<AskedNetwork> {
  const [network = "", addresses, ...more] = text.split("=");
  const ips = addresses?.split(",").map((ip) => ip.trim()) ?? [];
  if (network === "" || more.length > 0 || ips.includes("")) {
    return fail(`network ${text}: NETWORK or NETWORK=IP,IP is wanted`);
  }
  return ok({ network, ips });
}

/** `SUBJECT=ROLE`, such as `*=viewer`. @param roleOf number of a role's word */
export function parseRoles<R extends number>(
  given: readonly string[],
  words: readonly string[],
  roleOf: (word: string) => R | undefined,
): Result<Record<string, R>> {
  const roles: Record<string, R> = {};
  for (const text of given) {
    const at = text.lastIndexOf("=");
    const role = at < 1 ? undefined : roleOf(text.slice(at + 1));
    if (role === undefined) return fail(`role ${text}: SUBJECT=ROLE is wanted, where ROLE is ${words.join(", ")}`);
    roles[text.slice(0, at)] = role;
  }
  return ok(roles);
}

/** Characters of base64 that the contract takes as userdata. */
export const userdataMax = 32_768;

/** @returns standard base64, as the contract wants it */
export function encodeUserdata(text: string): Result<string> {
  const bytes = new TextEncoder().encode(text.trim() === "" ? "" : text);
  const encoded = base64(bytes);
  if (encoded === "") return fail("userdata is empty");
  if (encoded.length > userdataMax)
    return fail(`userdata: ${encoded.length} characters of base64 exceed ${userdataMax}`);
  return ok(encoded);
}

const chunkBytes = 8192;
/** In chunks: a call takes only so many arguments. */
const base64 = (bytes: Uint8Array): string => {
  let binary = "";
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    binary += String.fromCharCode(...bytes.subarray(at, at + chunkBytes));
  }
  return btoa(binary);
};

/** Non-empty lines that are no comments: a file with several public keys gives several. */
export const sshKeys = (text: string): readonly string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
