import { fail, ok, type Result } from "../result.ts";
import { type Ipv4, ipv4Text, parseIpv4 } from "./ipv4.ts";

const addressesMax = 4096;

/** The addresses of `10.0.0.1` or of `10.0.0.1-10.0.0.9`, both ends included, at most 4096. */
export function expandAddressRange(text: string): Result<readonly string[]> {
  const [from = "", to = from, ...more] = text.split("-").map((part) => part.trim());
  const first = parseIpv4(from);
  const last = parseIpv4(to);
  if (!first.ok) return first;
  if (!last.ok) return last;
  const count = last.value - first.value + 1;
  if (more.length > 0 || count < 1) return fail(`address range ${text}: first-last is wanted`);
  if (count > addressesMax) return fail(`address range ${text}: ${count} addresses exceed ${addressesMax}`);
  return ok(Array.from({ length: count }, (_, i) => ipv4Text((first.value + i) as Ipv4)));
}
