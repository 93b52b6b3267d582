import type { Interface } from "#gen/holdfast/install/v1/install_pb.ts";
import { containsIpv4, netmask, parseIpv4 } from "#lib/net/ipv4.ts";
import { parseMac } from "#lib/net/mac.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import type { OsFile } from "./os-files.ts";

/** systemd-networkd's files for the interfaces. Values go into files of a line syntax, so each is checked. @source systemd.network(5) */
export function networkFiles(interfaces: readonly Interface[]): Result<readonly OsFile[]> {
  const files: OsFile[] = [];
  for (const [i, one] of interfaces.entries()) {
    const matched = matchOf(one);
    if (!matched.ok) return fail(`interface ${i}: ${matched.error}`);
    const bad = [...one.addresses, ...one.routes.flatMap((r) => [r.destination, r.gateway])].find(
      (v) => !/^[0-9a-fA-F.:/]*$/.test(v),
    );
    if (bad !== undefined) return fail(`interface ${one.mac || one.name}: ${bad} is no address`);
    files.push({
      path: `/etc/systemd/network/10-holdfast-${matched.value.file}.network`,
      content: networkFile(one, matched.value.match),
      mode: 0o644,
    });
  }
  return ok(files);
}

interface Matched {
  readonly match: string;
  /** Of the file's name. */
  readonly file: string;
}

/** @source Linux IFNAMSIZ: names are of at most 15 bytes */
function matchOf({ mac, name }: Interface): Result<Matched> {
  if (mac === "" && name !== "") {
    const isName = /^[a-z][a-z0-9.-]{0,14}$/.test(name);
    return isName ? ok({ match: `Name=${name}`, file: name }) : fail(`${name} is no name of an interface`);
  }
  const parsed = parseMac(mac);
  return parsed.ok ? ok({ match: `MACAddress=${parsed.value}`, file: parsed.value.replaceAll(":", "") }) : parsed;
}

function networkFile(one: Interface, match: string): string {
  const mtu = one.mtu > 0 ? ["[Link]", `MTUBytes=${one.mtu}`, ""] : [];
  const routes = one.routes.flatMap((r) => [
    "",
    "[Route]",
    ...(r.destination === "" ? [] : [`Destination=${r.destination}`]),
    ...(r.gateway === ""
      ? []
      : [`Gateway=${r.gateway}`, ...(isOnLink(one.addresses, r.gateway) ? [] : ["GatewayOnLink=yes"])]),
  ]);
  return [
    ["[Match]", match, ""],
    mtu,
    ["[Network]", ...one.addresses.map((a) => `Address=${a}`)],
    // Addresses stay while networkd restarts, so that a login survives its upgrade.
    ["LinkLocalAddressing=no", "IPv6AcceptRA=no", "KeepConfiguration=static"],
    routes,
    [""],
  ]
    .flat()
    .join("\n");
}

/** Whether one of our addresses' networks holds the gateway; when none does (a /32), the kernel must be told that it is there. */
function isOnLink(addresses: readonly string[], gateway: string): boolean {
  const to = parseIpv4(gateway);
  if (!to.ok) return true;
  return addresses.some((a) => {
    const [address = "", bits = "32"] = a.split("/");
    const ip = parseIpv4(address);
    const length = Number(bits);
    return (
      ip.ok &&
      length <= 32 &&
      containsIpv4({ network: ((ip.value & netmask(length)) >>> 0) as typeof ip.value, length }, to.value)
    );
  });
}

/** @source resolv.conf(5): more than three name servers are not read */
export const resolvConf = (servers: readonly string[]): string =>
  servers
    .slice(0, 3)
    .map((s) => `nameserver ${s}\n`)
    .join("");
