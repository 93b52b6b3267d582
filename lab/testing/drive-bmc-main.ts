import { createSocket } from "node:dgram";
import { setTimeout as delay } from "node:timers/promises";
import { ChassisServer, startBmc } from "../bmc.ts";
import { Machine } from "../machine.ts";
import { parseLabOptions } from "../options.ts";
import { labPlan } from "../plan.ts";
import { attempt, type Output, run } from "../process.ts";
import { Changes, Late } from "../waiting.ts";

// Drives one BMC with ipmitool inside a namespace and prints what happened as JSON: see ../bmc.test.ts.

const password = "correct-horse";
const pingMs = 10_000;
const parsed = parseLabOptions(["--machines", "1", "--dir", process.argv[2] ?? ""], process.pid);
if (!parsed.ok || parsed.value === "help") throw new Error("wrong options");
const plan = labPlan(parsed.value);
const [machinePlan] = plan.machines;
if (!machinePlan) throw new Error("no machine");

await run(["ip", "link", "set", "lo", "up"]);
await run(["ip", "addr", "add", `${machinePlan.bmcAddress}/32`, "dev", "lo"]);
const changes = new Changes();
let sights: string[] = [];
const machine = new Machine(machinePlan, {
  hasKvm: false,
  program: () => ["sleep", "600"],
  see: (_, sight) => {
    sights.push(sight.kind === "on" ? `on ${sight.boot}` : sight.kind);
    changes.changed();
  },
});
await machine.open();
const chassis = new ChassisServer([machine]);
await chassis.listen(plan.chassisPort);
const bmc = startBmc(plan, machinePlan, password);
const reports: { call: string; said: Output; sights: readonly string[] }[] = [];

async function ipmi(call: string, args: string, expected: number, secret = password): Promise<void> {
  sights = [];
  const access = ["-H", machinePlan!.bmcAddress, "-U", plan.bmcUser, "-P", secret];
  const said = await attempt(["ipmitool", "-I", "lanplus", "-C", "3", ...access, ...args.split(" ")]);
  await changes.until(
    { what: `${call}: ${expected} sights`, deadlineMs: 10_000 },
    () => sights.length >= expected || undefined,
  );
  const lamp = machine.chassis.identify ? "lamp on" : "lamp off";
  reports.push({ call, said, sights: call.startsWith("identify") ? [...sights, lamp] : [...sights] });
}

await answers(machinePlan.bmcAddress);
await ipmi("raw 6 0x37", "raw 6 0x37", 0);
await ipmi("fru print 0", "fru print 0", 0);
await ipmi("bootdev", "chassis bootdev pxe", 0);
await ipmi("power on", "chassis power on", 1);
await ipmi("power on again", "chassis power on", 0);
await ipmi("power status", "chassis power status", 0);
await ipmi("power reset", "chassis power reset", 2);
await ipmi("identify", "chassis identify 15", 0);
await ipmi("identify off", "chassis identify 0", 0);
sights = [];
await machine.endProgram();
await changes.until({ what: "the end", deadlineMs: 10_000 }, () => sights.includes("died") || undefined);
await ipmi("power status after its end", "chassis power status", 0);
await ipmi("wrong password", "chassis power status", 0, "wrong");
await machine.close();
chassis.close();
await bmc.stop();
console.log(JSON.stringify(reports));
process.exit();

/** Waits until the BMC answers an RMCP ping (ASF 2.0 §3.2.4), which needs no session. */
async function answers(address: string): Promise<void> {
  const ping = Uint8Array.of(6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 0, 0, 0);
  const socket = createSocket("udp4");
  // Nobody listens there yet: it is asked again. Waiting with node:events would take that for the end.
  socket.on("error", () => undefined);
  const heard = new Promise<void>((resolve) => socket.once("message", () => resolve()));
  await new Promise<void>((resolve) => socket.connect(623, address, resolve));
  const again = setInterval(() => socket.send(ping, () => undefined), 50);
  try {
    const late = () => Promise.reject(new Late(`the BMC at ${address} answers`, pingMs, "no answer"));
    await Promise.race([heard, delay(pingMs).then(late)]);
  } finally {
    clearInterval(again);
    socket.close();
  }
}
