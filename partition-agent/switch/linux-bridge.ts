// A Linux bridge per network, seen through iproute2's JSON. Pure: text in, state out; edits in, commands out.
// Networks are bridges: the provisioning one exists already, tenants' are `hf` and the VRF's number, and only those are
// ever created or removed here.
import * as v from "valibot";
import { type Mac, parseMac } from "#lib/net/mac.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { canonicalGateway } from "./gateway.ts";
import { type SwitchEdit, type SwitchPort, type SwitchState, vrfOfNetwork } from "./switch.ts";

const Text = v.optional(v.string(), "");
const Texts = v.optional(v.array(v.string()), []);
const Links = v.array(
  v.object({
    ifname: v.string(),
    flags: Texts,
    address: Text,
    master: v.optional(v.string()),
    linkinfo: v.optional(v.object({ info_kind: Text }), {}),
  }),
);
const Address = v.object({ family: Text, local: Text, prefixlen: v.optional(v.number(), -1), scope: Text });
const Addresses = v.array(v.object({ ifname: Text, addr_info: v.optional(v.array(Address), []) }));
const Entries = v.array(
  v.object({ mac: Text, ifname: Text, master: v.optional(v.string()), state: Text, flags: Texts }),
);

/** What the three programs of `readCommand` said. */
export interface BridgeOutput {
  readonly links: string;
  readonly addresses: string;
  readonly entries: string;
}

const between = "---";
const reads = ["ip -json -details link show", "ip -json address show", "bridge -json fdb show"];

/** Three programs under one shell: to start a process costs a daemon of our size more than the programs need. */
export const readCommand: readonly string[] = ["sh", "-c", reads.join(` && echo ${between} && `)];

/** @param said by `readCommand` */
export function bridgeOutput(said: string): BridgeOutput {
  const [links = "", addresses = "", entries = ""] = said.split(new RegExp(`^${between}$`, "m"));
  return { links, addresses, entries };
}

const portsMax = 1024;
const learnedMax = 64;

/** @returns why the output cannot be understood, or the state */
export function bridgeState(id: string, output: BridgeOutput): Result<SwitchState> {
  const links = parsed(Links, output.links, "ip link");
  const addresses = parsed(Addresses, output.addresses, "ip address");
  const entries = parsed(Entries, output.entries, "bridge fdb");
  if (!links.ok) return links;
  if (!addresses.ok) return addresses;
  if (!entries.ok) return entries;
  const bridges = links.value.filter((l) => l.linkinfo.info_kind === "bridge");
  const others = links.value.filter((l) => l.linkinfo.info_kind !== "bridge" && !l.flags.includes("LOOPBACK"));
  if (others.length > portsMax) return fail(`switch ${id}: ${others.length} links exceed ${portsMax}`);
  const learned = learnedMacs(entries.value);
  return ok({
    id,
    ports: others.flatMap((link): SwitchPort[] => {
      const mac = parseMac(link.address);
      // Tunnels without Ethernet address are no ports.
      if (!mac.ok) return [];
      const up = link.flags.includes("LOWER_UP");
      const network = bridges.find((b) => b.ifname === link.master)?.ifname;
      const enabled = link.flags.includes("UP");
      return [{ name: link.ifname, network, enabled, up, mac: mac.value, learnedMacs: learned.get(link.ifname) ?? [] }];
    }),
    networks: bridges.map(({ ifname }) => ({
      name: ifname,
      gateways: addresses.value.filter((a) => a.ifname === ifname).flatMap((a) => a.addr_info.flatMap(gatewayOf)),
    })),
  });
}

function parsed<T>(schema: v.GenericSchema<unknown, T>, text: string, what: string): Result<T> {
  let json: unknown;
  try {
    // iproute2 says nothing at all when there is nothing to list.
    json = text.trim() === "" ? [] : JSON.parse(text);
  } catch {
    return fail(`${what}: its output is not JSON: ${text.slice(0, 80)}`);
  }
  const result = v.safeParse(schema, json);
  if (result.success) return ok(result.output);
  const [issue] = result.issues;
  return fail(`${what}: unexpected output at ${v.getDotPath(issue) ?? "the top"}: ${issue.message}`);
}

function learnedMacs(entries: v.InferOutput<typeof Entries>): Map<string, Mac[]> {
  const byPort = new Map<string, Mac[]>();
  for (const entry of entries) {
    const isOwn = entry.state === "permanent" || entry.state === "static" || entry.flags.includes("self");
    const mac = parseMac(entry.mac);
    if (isOwn || entry.master === undefined || !mac.ok) continue;
    const known = byPort.get(entry.ifname) ?? [];
    if (known.length < learnedMax && !known.includes(mac.value)) byPort.set(entry.ifname, [...known, mac.value]);
  }
  return byPort;
}

function gatewayOf(address: v.InferOutput<typeof Address>): readonly string[] {
  if (address.scope === "link" || address.scope === "host") return [];
  const gateway = canonicalGateway(`${address.local}/${address.prefixlen}`);
  return gateway.ok ? [gateway.value] : [];
}

/** What of the host's network is this switch's; all else is neither shown nor touched. */
export interface Owned {
  /** Bridge in which machines boot. Tenants' bridges are the switch's as well. */
  readonly provisioning: string;
  /** Links that are the switch's ports; absent: all but bridges and loopback. */
  readonly ports?: readonly string[] | undefined;
}

const ownsNetwork = (owned: Owned, name: string): boolean =>
  name === owned.provisioning || vrfOfNetwork(name) !== undefined;

const ownsPort = (owned: Owned, name: string): boolean => owned.ports?.includes(name) ?? true;

/** The owned part of what the host shows. */
export const ownedState = (state: SwitchState, owned: Owned): SwitchState => ({
  id: state.id,
  ports: state.ports.filter((p) => ownsPort(owned, p.name)),
  networks: state.networks.filter((n) => ownsNetwork(owned, n.name)),
});

/**
 * The commands of one edit, none when the switch shows it already.
 * @param state of the whole host, as it was before this edit
 * @returns an error for an edit that this driver must not make
 */
export function commandsOf(edit: SwitchEdit, state: SwitchState, owned: Owned): Result<readonly (readonly string[])[]> {
  if ("network" in edit && !ownsNetwork(owned, edit.network))
    return fail(`network ${edit.network} is neither ${owned.provisioning} nor a tenant's (hf and a number)`);
  if ("port" in edit) {
    if (!ownsPort(owned, edit.port))
      return fail(`port ${edit.port} is not among the ports of this switch in its configuration`);
    if (!state.ports.some((p) => p.name === edit.port)) return fail(`port ${edit.port} does not exist`);
  }
  if (shows(state, edit)) return ok([]);
  switch (edit.kind) {
    case "create-network":
      return createNetwork(edit.network);
    case "remove-network":
      return removeNetwork(edit.network, state);
    case "add-gateway":
      return withGateway(edit.gateway, (g) => [
        ["ip", "address", "replace", g, "dev", edit.network, ...(g.includes(":") ? ["nodad"] : [])],
      ]);
    case "remove-gateway":
      return withGateway(edit.gateway, (g) => [["ip", "address", "del", g, "dev", edit.network]]);
    case "move-port":
      return ok([
        ["ip", "link", "set", "dev", edit.port, "master", edit.network],
        ["ip", "link", "set", "dev", edit.port, "type", "bridge_slave", "fdb_flush"],
      ]);
    case "enable-port":
      return ok([["ip", "link", "set", "dev", edit.port, "up"]]);
    case "disable-port":
      return ok([["ip", "link", "set", "dev", edit.port, "down"]]);
  }
}

/** Whether the switch shows what the edit asks for. */
export function shows(state: SwitchState, edit: SwitchEdit): boolean {
  const network = "network" in edit ? state.networks.find((n) => n.name === edit.network) : undefined;
  const port = "port" in edit ? state.ports.find((p) => p.name === edit.port) : undefined;
  switch (edit.kind) {
    case "create-network":
      return network !== undefined;
    case "remove-network":
      return network === undefined;
    case "add-gateway":
      return network?.gateways.includes(edit.gateway) ?? false;
    case "remove-gateway":
      return !network?.gateways.includes(edit.gateway);
    case "move-port":
      return port?.network === edit.network;
    case "enable-port":
      return port?.enabled === true;
    case "disable-port":
      return port?.enabled === false;
  }
}

function createNetwork(name: string): Result<readonly (readonly string[])[]> {
  const vrf = vrfOfNetwork(name);
  if (vrf === undefined) return fail(`network ${name}: only tenants' networks (hf and a number) are created`);
  const bridge = ["type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"];
  return ok([
    ["ip", "link", "add", "name", name, "address", bridgeMac(vrf), ...bridge],
    ["ip", "link", "set", "dev", name, "up"],
  ]);
}

/** Given, for otherwise a bridge takes the least of its ports' and changes it, and machines lose their gateway. */
const bridgeMac = (vrf: number): string =>
  ["02", "68", "66", ...[vrf >> 16, (vrf >> 8) & 255, vrf & 255].map((b) => b.toString(16).padStart(2, "0"))].join(":");

function removeNetwork(name: string, state: SwitchState): Result<readonly (readonly string[])[]> {
  if (vrfOfNetwork(name) === undefined)
    return fail(`network ${name}: only tenants' networks (hf and a number) are removed`);
  const ports = state.ports.filter((p) => p.network === name).map((p) => p.name);
  if (ports.length > 0) return fail(`network ${name}: ports ${ports.join(", ")} are still in it`);
  return ok([["ip", "link", "del", "dev", name]]);
}

function withGateway(
  text: string,
  commands: (gateway: string) => readonly (readonly string[])[],
): Result<readonly (readonly string[])[]> {
  const gateway = canonicalGateway(text);
  return gateway.ok ? ok(commands(gateway.value)) : gateway;
}
