import { writeFileSync } from "node:fs";
import path from "node:path";
import { macBytes, parseMac } from "#lib/net/mac.ts";
import { lldpFrame } from "./lldp.ts";
import type { LabPlan } from "./plan.ts";
import { type Running, run, start } from "./process.ts";

/**
 * The lines for `ip -batch` that make the lab's network inside its namespace: a bridge for provisioning with one tap
 * per server, and the addresses of BMCs, central and image server on loopback (the host's kernel may lack dummy links).
 */
export function networkCommands(plan: LabPlan): readonly string[] {
  const { bridge, address, prefix } = plan.provisioning;
  return [
    "link set lo up",
    `link add ${bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    `link set dev ${bridge} address ${switchMac}`,
    `addr add ${address}/${prefix.length} dev ${bridge}`,
    `addr add ${routerIpv6}/64 dev ${bridge} nodad`,
    `link set ${bridge} up`,
    ...plan.machines.flatMap((m) => [
      `tuntap add dev ${m.tap} mode tap`,
      `link set ${m.tap} master ${bridge}`,
      `link set ${m.tap} up`,
    ]),
    ...[...(plan.isApart ? [] : [plan.core]), plan.management.address, ...plan.machines.map((m) => m.bmcAddress)].map(
      (a) => `addr add ${a}/32 dev lo`,
    ),
  ];
}

const routerIpv6 = "fd77::1";
const switchMac = "52:54:00:77:ff:01";

/** Must run inside the namespace. @throws when a link cannot be made */
export async function makeNetwork(plan: LabPlan): Promise<void> {
  await run(["ip", "-batch", "-"], { input: `${networkCommands(plan).join("\n")}\n` });
}

/**
 * The leaf router's part of the network, which every boot server finds there: router advertisements, without which the
 * iPXE ROM waits 13 s, and LLDP on every port.
 */
export class Leaf {
  readonly #processes: Running[] = [];
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(plan: LabPlan) {
    const config = path.join(plan.folder, "router.conf");
    writeFileSync(config, routerConfig(plan));
    const log = path.join(plan.folder, "router.log");
    this.#processes.push(start(["dnsmasq", "--keep-in-foreground", `--conf-file=${config}`], { name: "router", log }));
    for (const machine of plan.machines) this.#announce(plan, machine.tap);
  }

  #announce(plan: LabPlan, tap: string): void {
    const chassis = parseMac(switchMac);
    if (!chassis.ok) throw new Error(chassis.error);
    const frame = lldpFrame({ chassis: macBytes(chassis.value), port: tap, systemName: plan.switchId, ttlSeconds: 10 });
    const log = path.join(plan.folder, "lldp.log");
    const sender = start(["socat", "-u", "STDIN", `INTERFACE:${tap}`], { name: `LLDP on ${tap}`, log, stdin: "pipe" });
    this.#processes.push(sender);
    this.#timers.push(setInterval(() => sender.write(frame), lldpIntervalMs));
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#processes.map((p) => p.stop("SIGTERM", 2000)));
  }
}

const lldpIntervalMs = 1000;

export function routerConfig(plan: LabPlan): string {
  const { bridge } = plan.provisioning;
  return [
    "# router advertisements only: no DNS, no DHCP",
    "port=0",
    `interface=${bridge}`,
    "except-interface=lo",
    "bind-interfaces",
    "user=root",
    "no-resolv",
    "no-hosts",
    "pid-file=",
    `dhcp-leasefile=${path.join(plan.folder, "router.leases")}`,
    "enable-ra",
    `dhcp-range=::,constructor:${bridge},ra-only`,
    `ra-param=${bridge},10,1800`,
    "",
  ].join("\n");
}
