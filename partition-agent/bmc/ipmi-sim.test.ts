// The client against somebody else's BMC: ipmi_sim of OpenIPMI, on loopback, with a chassis program of our own.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "#lib/io/system-clock.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { silentLog } from "#lib/log.ts";
import { Secret } from "#lib/secret.ts";
import { nodeBmcCrypto } from "../io/bmc-crypto.ts";
import { udpTransport } from "../io/rmcp-transport.ts";
import { suite17 } from "./cipher-suite.ts";
import { BadPassword, BmcRefused, BmcUnreachable } from "./errors.ts";
import { RmcpBmc, type RmcpTarget } from "./rmcp-bmc.ts";

const skip = isInstalled("ipmi_sim") ? false : "ipmi_sim is not installed (apt-get install openipmi)";
const uuid = "12345678-9abc-4def-8123-456789abcdef";
const ports = { transport: udpTransport, crypto: nodeBmcCrypto, clock: systemClock, random: systemRandom };

describe("with ipmi_sim,", { skip }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-ipmi-sim-"));
  const opened: RmcpBmc[] = [];
  let port = 0;
  /** The server's serial port: what is typed comes back in capitals, a line at a time. */
  const lines: Socket[] = [];
  const serial = createServer((socket) => {
    lines.push(socket);
    socket.on("data", (typed) => socket.write(typed.toString("latin1").toUpperCase()));
  });
  let sim: ChildProcess;

  before(async () => {
    port = await freePort();
    await new Promise<void>((resolve) => serial.listen(0, "127.0.0.1", resolve));
    writeSimulator(folder, port, (serial.address() as AddressInfo).port);
    sim = spawn("ipmi_sim", ["-n", "-c", "lan.conf", "-f", "emulator.emu", "-s", `${folder}/state`], {
      cwd: folder,
      stdio: "ignore",
    });
    await answering(() => connect().powerState());
  });

  after(async () => {
    await Promise.all(opened.map((bmc) => bmc.close()));
    sim.kill("SIGKILL");
    for (const line of lines) line.destroy();
    serial.close();
    rmSync(folder, { recursive: true });
  });

  const connect = (change: Partial<RmcpTarget> = {}): RmcpBmc => {
    const target = { address: { host: "127.0.0.1", port }, user: "admin", password: new Secret("secret"), ...change };
    const bmc = new RmcpBmc(target, { ...ports, log: silentLog }, { consoleAliveMs: 200 });
    opened.push(bmc);
    return bmc;
  };
  const calls = () => readFileSync(path.join(folder, "chassis.log"), "utf8").trim().split("\n");

  test("a BMC without cipher suite 17 is used with 3, and describes itself", async () => {
    const seen = await connect().describe();
    assert.deepEqual(seen, {
      guid: uuid,
      firmware: "9.08",
      manufacturerId: 0x1291,
      manufacturer: "IANA enterprise 4753",
      productId: 0x0f02,
      ipmiVersion: "2.0",
      mac: "52:54:00:bb:00:01",
    });
  });

  test("power is switched once, and not at all when it is so already", async () => {
    const bmc = connect();
    await bmc.power("off");
    assert.equal(await bmc.powerState(), "off");
    await bmc.power("on");
    await bmc.power("on");
    assert.equal(await bmc.powerState(), "on");
    // The chassis program takes longer than the client waits before it repeats the packet.
    await bmc.power("reset");
    assert.deepEqual(
      calls().filter((c) => c.startsWith("set power") || c.startsWith("set reset")),
      ["set power 1", "set reset 1"],
    );
    await bmc.power("off");
    assert.equal(await bmc.powerState(), "off");
  });

  test("the boot device is set and read back", async () => {
    const bmc = connect();
    for (const device of ["pxe", "bios", "disk"] as const) {
      await bmc.setBootDevice({ device, persistent: false, efi: true });
      assert.equal((await bmc.bootDevice()).device, device);
    }
  });

  test("the light is switched on and off", async () => {
    await connect().identify("on");
    await connect().identify("off");
  });

  test("a wrong password is refused as such", async () => {
    await assert.rejects(connect({ password: new Secret("wrong") }).powerState(), (error) => {
      assert.ok(error instanceof BadPassword, String(error));
      assert.match(error.message, /user or password is wrong/);
      return true;
    });
  });

  test("an unknown user is refused as a wrong password", async () => {
    await assert.rejects(connect({ user: "nobody" }).powerState(), BadPassword);
  });

  test("a BMC that lacks the only suite that is asked for says which to enable", async () => {
    await assert.rejects(connect({ suites: [suite17] }).powerState(), (error) => {
      assert.ok(error instanceof BmcRefused, String(error));
      assert.match(error.message, /enable one of cipher suites 17/);
      return true;
    });
  });

  test("sessions do not pile up: more clients than the BMC has slots come one after the other", async () => {
    for (let i = 0; i < 70; i++) {
      const bmc = connect();
      assert.equal(await bmc.powerState(), "off");
      await bmc.close();
    }
  });

  test("the serial console shows what the server says and takes what is typed, beside everything else that is asked", async () => {
    const bmc = connect();
    const serialConsole = await bmc.openConsole({ takeOver: false });
    const shown = { text: "" };
    const leave = new AbortController();
    const reading = (async () => {
      for await (const said of serialConsole.output(leave.signal)) shown.text += new TextDecoder().decode(said);
    })();
    const typed = "a long line, longer than one packet can take, ".repeat(20);
    await serialConsole.write(new TextEncoder().encode(typed));
    assert.equal(await bmc.powerState(), "off");
    lines.at(-1)?.write("login: ");
    await answering(async () => assert.equal(shown.text, `${typed.toUpperCase()}login: `));
    await assert.rejects(connect().openConsole({ takeOver: false }), /somebody else has the console/);
    // It may end before the other console is told to be open.
    const isTaken = assert.rejects(reading, /somebody else has taken the console/);
    const taken = await connect().openConsole({ takeOver: true });
    await isTaken;
    await assert.rejects(serialConsole.write(new Uint8Array(1)), /somebody else has taken the console/);
    await taken.close();
    await serialConsole.close();
    leave.abort();
  });

  test("a port where nobody listens is unreachable at once", async () => {
    const nobody = { host: "127.0.0.1", port: await freePort() };
    await assert.rejects(connect({ address: nobody }).powerState(), (error) => {
      assert.ok(error instanceof BmcUnreachable, String(error));
      assert.match(error.message, /Get Chassis Status.*ECONNREFUSED.*check that it has power/);
      return true;
    });
  });
});

function isInstalled(program: string): boolean {
  try {
    execFileSync("which", [program], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

/** Waits for a start of another program: the one place where real time is needed. */
async function answering(ask: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await ask();
      return;
    } catch (error) {
      if (tries === 50) throw error;
      await delay(100);
    }
  }
}

function writeSimulator(folder: string, port: number, serialPort: number): void {
  const auths = ["callback", "user", "operator", "admin"].map((p) => `allowed_auths_${p} none md2 md5 straight`);
  const wireGuid = "78563412bc9aef4d8123456789abcdef";
  mkdirSync(path.join(folder, "state"));
  writeFileSync(
    path.join(folder, "lan.conf"),
    [
      'name "client-test"',
      "set_working_mc 0x20",
      "startlan 1",
      `addr 127.0.0.1 ${port}`,
      "priv_limit admin",
      ...auths,
      `guid ${wireGuid}`,
      `lan_config_program "${folder}/lan.sh"`,
      "endlan",
      `sol "tcp:127.0.0.1:${serialPort}" 115200`,
      `chassis_control "${folder}/chassis.sh 0x20"`,
      'user 1 true "" "" user 10 none md2 md5 straight',
      'user 2 true "admin" "secret" admin 10 none md2 md5 straight',
      "",
    ].join("\n"),
  );
  writeFileSync(
    path.join(folder, "emulator.emu"),
    "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n",
  );
  writeFileSync(path.join(folder, "chassis.sh"), chassisProgram(folder));
  writeFileSync(path.join(folder, "lan.sh"), lanProgram);
  for (const name of ["chassis.sh", "lan.sh"]) chmodSync(path.join(folder, name), 0o755);
}

const chassisProgram = (folder: string): string => `#!/bin/sh
cd ${folder}; shift; echo "$*" >> chassis.log; op=$1; shift
case $op in
get) for p in "$@"; do case $p in
  power) echo "power:$(cat power 2>/dev/null || echo 0)";; boot) echo "boot:$(cat boot 2>/dev/null || echo default)";;
  *) echo "$p:0";; esac; done;;
set) while [ $# -gt 1 ]; do case $1 in power) echo $2 > power;; reset) sleep 1.3;; boot) echo $2 > boot;; esac; shift 2; done;;
esac
`;

const lanProgram = `#!/bin/sh
[ "$1" = get ] || exit 0
shift
for p in "$@"; do case $p in mac_addr) echo "mac_addr:52:54:00:bb:00:01";; *) echo "$p:0.0.0.0";; esac; done
`;
