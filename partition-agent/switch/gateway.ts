import { parseIpv4 } from "#lib/net/ipv4.ts";
import { fail, ok, type Result } from "#lib/result.ts";

/** An address with its prefix length in the one spelling that switches show: `10.1.0.1/24`, `fd00::1/64`. */
export function canonicalGateway(text: string): Result<string> {
  const [address = "", lengthText = "", ...more] = text.trim().split("/");
  const length = Number(lengthText);
  if (more.length > 0 || !/^\d{1,3}$/.test(lengthText)) return wrong(text);
  if (parseIpv4(address).ok) return length <= 32 ? ok(`${address}/${length}`) : wrong(text);
  const ipv6 = canonicalIpv6(address);
  return ipv6 !== undefined && length <= 128 ? ok(`${ipv6}/${length}`) : wrong(text);
}

function canonicalIpv6(address: string): string | undefined {
  if (!/^[0-9a-fA-F:]{2,39}$/.test(address) || !URL.canParse(`http://[${address}]/`)) return undefined;
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

const wrong = (text: string): Result<string> =>
  fail(`gateway ${text}: an address and a prefix length are wanted, such as 10.1.0.1/24 or fd00::1/64`);
