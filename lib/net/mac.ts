import { fail, ok, type Result } from "../result.ts";

/** An Ethernet address as lower-case text with colons: `52:54:00:77:07:01`. */
export type Mac = string & { readonly __brand: "Mac" };

export function parseMac(text: string): Result<Mac> {
  const octets = text.trim().split(/[:-]/);
  if (octets.length !== 6 || !octets.every((o) => /^[0-9a-fA-F]{1,2}$/.test(o))) {
    return fail(`MAC address ${text}: six hex octets are wanted, such as 52:54:00:77:07:01`);
  }
  return ok(octets.map((o) => o.toLowerCase().padStart(2, "0")).join(":") as Mac);
}

/** @param bytes the six octets in wire order */
export const macOf = (bytes: Uint8Array): Mac =>
  Array.from(bytes.subarray(0, 6), (b) => b.toString(16).padStart(2, "0")).join(":") as Mac;

export const macBytes = (mac: Mac): Uint8Array => Uint8Array.from(mac.split(":"), (o) => Number.parseInt(o, 16));
