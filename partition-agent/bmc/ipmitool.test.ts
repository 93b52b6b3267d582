// Somebody else's client against our BMC in memory: a second opinion on the codec, above all on cipher suite 17.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Seeded } from "#lib/seeded.ts";
import { nodeBmcCrypto } from "../io/bmc-crypto.ts";
import { cipherSuites } from "./cipher-suite.ts";
import { Responder } from "./testing/responder.ts";

const skip = isInstalled() ? false : "ipmitool is not installed (apt-get install ipmitool)";

for (const suite of cipherSuites) {
  describe(`ipmitool with cipher suite ${suite.id}`, { skip }, () => {
    const guid = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
    const setup = { suites: [suite], users: { admin: "secret" }, guid, sessionsMax: 2 };
    const responder = new Responder({ crypto: nodeBmcCrypto, random: new Seeded(3) }, setup);
    const socket = createSocket("udp4");
    socket.on("message", (datagram, from) => {
      for (const answer of responder.hear(new Uint8Array(datagram))) socket.send(answer, from.port, from.address);
    });
    before(() => new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve)));
    after(() => socket.close());

    const ipmitool = async (password: string, ...command: readonly string[]): Promise<string> => {
      const target = ["-I", "lanplus", "-H", "127.0.0.1", "-p", String(socket.address().port), "-C", String(suite.id)];
      const args = [...target, "-N", "1", "-R", "2", "-U", "admin", "-E", ...command];
      const options = { env: { ...process.env, IPMI_PASSWORD: password }, timeout: 20_000 };
      return (await promisify(execFile)("ipmitool", args, options)).stdout;
    };

    test("switches power, sets the boot device and leaves no session behind", async () => {
      assert.match(await ipmitool("secret", "power", "status"), /Chassis Power is off/);
      await ipmitool("secret", "power", "on");
      assert.ok(responder.chassis.isOn);
      await ipmitool("secret", "chassis", "bootdev", "pxe", "options=efiboot,persistent");
      assert.deepEqual([...responder.chassis.bootFlags], [0xe0, 0x04, 0, 0, 0]);
      assert.equal(responder.openSessions, 0);
    });

    test("is refused with a wrong password", async () => {
      await assert.rejects(ipmitool("wrong", "power", "status"));
    });
  });
}

function isInstalled(): boolean {
  try {
    execFileSync("ipmitool", ["-V"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
