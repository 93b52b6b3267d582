import { type Ipv4, ipv4Text, parseIpv4 } from "#lib/net/ipv4.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { Holder } from "./client.ts";
import type { Lease, LeaseState } from "./lease.ts";

// Stored form: UTF-8 JSON `["address", "holder", "state", untilMs]`. Later versions append members; readers ignore what they do
// not know.

const states: ReadonlySet<unknown> = new Set<LeaseState>(["offered", "bound", "released", "declined"]);
const rowBytesMax = 4096;
/** `id:` and 255 bytes in hex */
const holderLengthMax = 513;

export function encodeLease(lease: Lease): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify([ipv4Text(lease.address), lease.holder, lease.state, Math.round(lease.untilMs)]),
  );
}

export function decodeLease(bytes: Uint8Array): Result<Lease> {
  if (bytes.length > rowBytesMax) return fail(`stored lease: ${bytes.length} bytes exceed ${rowBytesMax}`);
  const row = parseJson(bytes);
  if (!Array.isArray(row)) return fail("stored lease: not a JSON array");
  const [address, holder, state, untilMs] = row as readonly unknown[];
  const ip = typeof address === "string" ? parseIpv4(address) : fail("stored lease: no address");
  if (!ip.ok) return ip;
  if (typeof holder !== "string" || holder === "" || holder.length > holderLengthMax)
    return fail(`stored lease of ${ipv4Text(ip.value)}: no holder`);
  if (!states.has(state)) return fail(`stored lease of ${ipv4Text(ip.value)}: unknown state`);
  if (typeof untilMs !== "number" || !Number.isSafeInteger(untilMs))
    return fail(`stored lease of ${ipv4Text(ip.value)}: no end`);
  return ok({ address: ip.value, holder: holder as Holder, state: state as LeaseState, untilMs });
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** Key of a lease's row: hex, so that rows lie in the order of addresses. */
export const leaseKey = (address: Ipv4): string => address.toString(16).padStart(8, "0");
