import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { LinuxBridge } from "../io/linux-bridge.ts";
import { diffSwitch } from "./diff.ts";
import { bridgeState, commandsOf } from "./linux-bridge.ts";
import type { SwitchState } from "./switch.ts";

const link = (change: object) => ({ flags: ["UP", "LOWER_UP"], address: "02:00:00:00:00:01", linkinfo: {}, ...change });
const shown = (links: unknown, addresses: unknown = [], entries: unknown = []) =>
  bridgeState("leaf1", {
    links: JSON.stringify(links),
    addresses: JSON.stringify(addresses),
    entries: JSON.stringify(entries),
  });

describe("what iproute2 says", () => {
  test("becomes ports, networks and the senders behind each port", () => {
    const state = shown(
      [
        link({ ifname: "lo", flags: ["LOOPBACK"], address: "00:00:00:00:00:00" }),
        link({ ifname: "prov", linkinfo: { info_kind: "bridge" } }),
        link({ ifname: "tap1", master: "prov", linkinfo: { info_kind: "tun" } }),
        link({ ifname: "tap2", flags: ["UP", "NO-CARRIER"], address: "02:00:00:00:00:02" }),
        link({ ifname: "tun0", address: "10.0.0.1" }),
      ],
      [
        {
          ifname: "prov",
          addr_info: [
            { family: "inet", local: "10.0.0.1", prefixlen: 24, scope: "global" },
            { family: "inet6", local: "fe80::1", prefixlen: 64, scope: "link" },
          ],
        },
        {},
      ],
      [
        { mac: "52:54:00:77:07:01", ifname: "tap1", flags: [], master: "prov", state: "" },
        { mac: "52:54:00:77:07:01", ifname: "tap1", flags: [], master: "prov", vlan: 1, state: "" },
        { mac: "02:00:00:00:00:01", ifname: "tap1", flags: [], master: "prov", state: "permanent" },
        { mac: "02:00:00:00:00:09", ifname: "tap1", flags: [], master: "prov", state: "static" },
        { mac: "33:33:00:00:00:01", ifname: "tap1", flags: ["self"], state: "" },
      ],
    );
    assert.deepEqual(state.ok && state.value, {
      id: "leaf1",
      ports: [
        {
          name: "tap1",
          network: "prov",
          enabled: true,
          up: true,
          mac: "02:00:00:00:00:01",
          learnedMacs: ["52:54:00:77:07:01"],
        },
        { name: "tap2", network: undefined, enabled: true, up: false, mac: "02:00:00:00:00:02", learnedMacs: [] },
      ],
      networks: [{ name: "prov", gateways: ["10.0.0.1/24"] }],
    });
  });

  test("is bounded: a flood of senders leaves 64 of a port", () => {
    const entries = Array.from({ length: 500 }, (_, i) => ({
      mac: `52:54:00:00:${(i >> 8).toString(16)}:${(i & 255).toString(16)}`,
      ifname: "tap1",
      master: "prov",
    }));
    const state = shown([link({ ifname: "tap1" })], [], entries);
    assert.equal(state.ok && state.value.ports[0]?.learnedMacs.length, 64);
  });

  test("is an error that names the place when it is something else", () => {
    const errors = [
      shown({}),
      shown([{ ifname: 7 }]),
      bridgeState("leaf1", { links: "x", addresses: "", entries: "" }),
    ];
    assert.deepEqual(
      errors.map((e) => (e.ok ? "" : e.error.split(": ").slice(0, 2).join(": "))),
      [
        "ip link: unexpected output at the top",
        "ip link: unexpected output at 0.ifname",
        "ip link: its output is not JSON",
      ],
    );
  });
});

describe("the driver refuses", () => {
  const state: SwitchState = {
    id: "leaf1",
    ports: [],
    networks: [
      { name: "prov", gateways: [] },
      { name: "docker0", gateways: [] },
    ],
  };
  const refused = (edit: Parameters<typeof commandsOf>[0]) => {
    const commands = commandsOf(edit, state, { provisioning: "prov", ports: ["p1"] });
    return commands.ok ? "" : commands.error;
  };

  test("to create or remove a network that is not a tenant's", () => {
    assert.match(refused({ kind: "remove-network", network: "prov" }), /only tenants' networks .* are removed/);
    assert.match(refused({ kind: "create-network", network: "br0" }), /network br0 is neither prov nor a tenant's/);
  });

  test("to touch what the configuration does not give to the switch", () => {
    assert.match(
      refused({ kind: "move-port", port: "p1", network: "docker0" }),
      /docker0 is neither prov nor a tenant/,
    );
    assert.match(refused({ kind: "move-port", port: "uplink", network: "prov" }), /port uplink is not among the ports/);
    assert.match(refused({ kind: "add-gateway", network: "docker0", gateway: "10.0.0.1/24" }), /is neither prov/);
  });

  test("names and addresses that are none", () => {
    for (const network of ["", "-x", "hf0", "hf1 up", "hf1;y"]) {
      assert.match(refused({ kind: "remove-network", network }), /is neither prov nor a tenant's/, network);
    }
    assert.match(refused({ kind: "move-port", port: "p1", network: "prov" }), /port p1 does not exist/);
    assert.match(
      refused({ kind: "add-gateway", network: "prov", gateway: "-4" }),
      /gateway -4: an address and a prefix/,
    );
  });
});

const isRoot = process.getuid?.() === 0;
const has = (program: string): boolean => {
  try {
    execFileSync(program, ["-V"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};
const programs = [
  { program: "ip", from: "iproute2" },
  { program: "ping", from: "iputils-ping" },
];
const missing = programs.find(({ program }) => !has(program));
const skip = !isRoot
  ? "needs root"
  : missing !== undefined && `${missing.program} is not installed (apt-get install ${missing.from})`;

describe("with real bridges,", { skip }, () => {
  const leaf = `hf-leaf-${process.pid}`;
  const server = `hf-srv-${process.pid}`;
  const prefix = ["ip", "netns", "exec", leaf];
  const signal = AbortSignal.timeout(60_000);
  const driver = new LinuxBridge({ id: "leaf1", provisioning: "prov", ports: ["p1", "p2"], prefix });
  const run = (netns: string, command: string): string =>
    execFileSync("ip", ["netns", "exec", netns, ...command.split(" ")], { encoding: "utf8", stdio: "pipe" });

  before(() => {
    for (const netns of [leaf, server]) execFileSync("ip", ["netns", "add", netns]);
    run(leaf, "ip link add prov type bridge stp_state 0 forward_delay 0 mcast_snooping 0");
    run(leaf, "ip link set prov up");
    for (const n of [1, 2]) {
      run(leaf, `ip link add p${n} type veth peer name eth${n} netns ${server}`);
      run(leaf, `ip link set p${n} master prov up`);
      run(server, `ip link set eth${n} address 52:54:00:00:00:0${n} up`);
    }
  });
  after(() => {
    for (const netns of [leaf, server]) execFileSync("ip", ["netns", "del", netns]);
  });

  const portNetworks = (state: SwitchState) => Object.fromEntries(state.ports.map((p) => [p.name, p.network]));
  /** Whether the gateway answers; wait long enough, for the kernel repeats a question for an address once a second. */
  const gatewayAnswers = (n: number, waitSeconds: number) => {
    run(server, `ip addr replace 10.7.0.1${n}/24 dev eth${n}`);
    try {
      run(server, `ping -c 1 -W ${waitSeconds} -I eth${n} 10.7.0.1`);
      return true;
    } catch {
      return false;
    }
  };

  test("ports are read with their network, link and the servers behind them", async () => {
    gatewayAnswers(1, 1);
    const state = await driver.read(signal);
    assert.deepEqual(portNetworks(state), { p1: "prov", p2: "prov" });
    const p1 = state.ports.find((p) => p.name === "p1");
    assert.ok(p1?.up);
    assert.deepEqual(p1.learnedMacs, ["52:54:00:00:00:01"]);
  });

  test("a port moves to a new tenant network, answers at its gateway, and its old address is forgotten", async () => {
    const desired = {
      ports: [{ name: "p1", network: "hf101" }],
      networks: [{ name: "hf101", gateways: ["10.7.0.1/24", "fd07::1/64"] }],
    };
    await driver.apply(diffSwitch(desired, await driver.read(signal)), signal);
    const state = await driver.read(signal);
    assert.deepEqual(portNetworks(state), { p1: "hf101", p2: "prov" });
    assert.deepEqual(state.networks.find((n) => n.name === "hf101")?.gateways, ["10.7.0.1/24", "fd07::1/64"]);
    assert.deepEqual(diffSwitch(desired, state), []);
    assert.ok(gatewayAnswers(1, 3), "the tenant reaches its gateway");
    assert.ok(!gatewayAnswers(2, 1), "the port that stayed does not");
    assert.match(run(leaf, "ip link show dev hf101"), /02:68:66:00:00:65/);
  });

  test("a port that is switched off has no link, and has one again when it is on", async () => {
    const shownNow = async () => (await driver.read(signal)).ports.map((p) => [p.name, p.enabled, p.up]);
    const desired = (enabled: boolean) => ({ ports: [{ name: "p2", enabled }], networks: [] });
    await driver.apply(diffSwitch(desired(false), await driver.read(signal)), signal);
    assert.deepEqual(await shownNow(), [
      ["p1", true, true],
      ["p2", false, false],
    ]);
    assert.deepEqual(diffSwitch(desired(false), await driver.read(signal)), []);
    await driver.apply(diffSwitch(desired(true), await driver.read(signal)), signal);
    assert.deepEqual((await shownNow())[1]?.slice(0, 2), ["p2", true]);
  });

  test("the same edits again change nothing", async () => {
    const edits = [
      { kind: "create-network", network: "hf101" },
      { kind: "add-gateway", network: "hf101", gateway: "10.7.0.1/24" },
      { kind: "move-port", port: "p1", network: "hf101" },
    ] as const;
    const before = await driver.read(signal);
    await driver.apply(edits, signal);
    assert.deepEqual(portNetworks(await driver.read(signal)), portNetworks(before));
  });

  test("a network with a port in it is not removed; when the port has gone home, it is", async () => {
    await assert.rejects(driver.apply([{ kind: "remove-network", network: "hf101" }], signal), {
      message: "switch leaf1: remove-network hf101: network hf101: ports p1 are still in it",
    });
    const desired = { ports: [{ name: "p1", network: "prov" }], networks: [], removed: ["hf101"] };
    await driver.apply(diffSwitch(desired, await driver.read(signal)), signal);
    const state = await driver.read(signal);
    assert.deepEqual(portNetworks(state), { p1: "prov", p2: "prov" });
    assert.deepEqual(
      state.networks.map((n) => n.name),
      ["prov"],
    );
  });

  test("the switch's own words come with the switch and the step", async () => {
    await assert.rejects(driver.apply([{ kind: "move-port", port: "p1", network: "hf9" }], signal), (error) => {
      assert.match(String(error), /^Error: switch leaf1: ip link set dev p1 master hf9: .*hf9/);
      return true;
    });
  });

  test("an aborted read ends with the reason", async () => {
    await assert.rejects(driver.read(AbortSignal.abort(new Error("enough"))), /enough/);
  });
});
