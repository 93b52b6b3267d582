import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import path from "node:path";
import { MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { serveFiles } from "./artifacts.ts";
import type { Holdfast } from "./holdfast.ts";
import { type Lab, startHoldfast } from "./lab.ts";
import type { Machine } from "./machine.ts";
import type { LabPlan, MachinePlan } from "./plan.ts";
import { type Running, run, start } from "./process.ts";
import type { Mark } from "./timeline.ts";
import { hasPhonedHome, isWaiting } from "./watch.ts";

// A hand-made flow of the same servers, firmware, installer kernel, initrd and image: dnsmasq, a static iPXE script, a
// static web server and a shell script. It wipes nothing, asks nobody and knows nothing; what Holdfast takes longer is
// the price of all that it does more.

const ratioMax = 1.15;
const bootDeadlineMs = 180_000;
const installDeadlineMs = 240_000;

/** Seconds from power-on to phoned home, by machine. */
export type Round = ReadonlyMap<string, number>;

/** @returns exit code: 0 when Holdfast is at most 1.15 times as slow */
export async function baseline(lab: Lab): Promise<number> {
  const rounds: { readonly handMade: Round; readonly ours: Round }[] = [];
  for (let number = 1; number <= lab.options.rounds; number++) {
    lab.print(`round ${number}: hand-made`);
    const handMade = await handMadeRound(lab);
    lab.print(`round ${number}: Holdfast`);
    const ours = await ourRound(lab);
    rounds.push({ handMade, ours });
  }
  const result = compare(rounds);
  for (const line of resultLines(lab.plan.machines, rounds, result)) lab.print(line);
  return result.ratio <= ratioMax ? 0 : 1;
}

/** Compares the medians of what a round took on average over its machines. */
export function compare(rounds: readonly { readonly handMade: Round; readonly ours: Round }[]) {
  const mean = (round: Round) => [...round.values()].reduce((sum, s) => sum + s, 0) / round.size;
  const handMade = median(rounds.map((r) => mean(r.handMade)));
  const ours = median(rounds.map((r) => mean(r.ours)));
  return { handMade, ours, ratio: ours / handMade };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function resultLines(
  machines: readonly MachinePlan[],
  rounds: readonly { readonly handMade: Round; readonly ours: Round }[],
  result: ReturnType<typeof compare>,
): readonly string[] {
  const seconds = (round: Round, name: string) => (round.get(name) ?? Number.NaN).toFixed(1).padStart(9);
  return [
    "",
    "seconds from power-on to phoned home",
    `round  machine  firmware  hand-made   Holdfast`,
    ...rounds.flatMap((round, i) =>
      machines.map(
        (m) =>
          `${String(i + 1).padStart(5)}  ${m.name.padEnd(7)}  ${m.firmware.padEnd(8)}  ${seconds(round.handMade, m.name)}  ${seconds(round.ours, m.name)}`,
      ),
    ),
    `median of the rounds' means  ${result.handMade.toFixed(1)}  ${result.ours.toFixed(1)}`,
    `Holdfast / hand-made: ${result.ratio.toFixed(3)} (at most ${ratioMax})`,
  ];
}

async function handMadeRound(lab: Lab): Promise<Round> {
  await Promise.all(lab.datacenter.machines.map((m) => m.makeNew()));
  await takeBackPorts(lab);
  const side = await startHandMade(lab);
  const beginMs = Date.now();
  try {
    await Promise.all(lab.datacenter.machines.map((m) => powerOn(lab, m)));
    return await measured(lab, beginMs, (name) =>
      lab.timeline.until(name, "phoned home", beginMs, bootDeadlineMs + installDeadlineMs),
    );
  } finally {
    for (const machine of lab.datacenter.machines) machine.call(["0x20", "set", "power", "0"]);
    await side.stop();
  }
}

/** Our round left the ports in a tenant's network, of which the next round's central knows nothing. */
async function takeBackPorts({ plan }: Lab): Promise<void> {
  for (const { tap } of plan.machines) await run(["ip", "link", "set", tap, "master", plan.provisioning.bridge]);
  const links = JSON.parse(await run(["ip", "-json", "link", "show", "type", "bridge"])) as { ifname: string }[];
  for (const { ifname } of links) if (ifname !== plan.provisioning.bridge) await run(["ip", "link", "del", ifname]);
}

async function powerOn(lab: Lab, { plan }: Machine): Promise<void> {
  const env = { IPMITOOL_PASSWORD: lab.datacenter.bmcPassword };
  const tool = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", plan.bmcAddress, "-U", lab.plan.bmcUser, "-E"];
  await run([...tool, "chassis", "bootdev", "pxe"], { env });
  await run([...tool, "chassis", "power", "on"], { env });
}

async function measured(lab: Lab, beginMs: number, phonedHome: (name: string) => Promise<Mark>): Promise<Round> {
  const times = lab.plan.machines.map(async ({ name }) => {
    const end = await phonedHome(name);
    const on = lab.timeline.find(name, "power on", beginMs);
    if (on === undefined) throw new Error(`${name} phoned home and was never powered on`);
    return [name, (end.atMs - on.atMs) / 1000] as const;
  });
  return new Map(await Promise.all(times));
}

/** Power-on by the agent; a machine is created the moment that one waits. */
async function ourRound(lab: Lab): Promise<Round> {
  await Promise.all(lab.datacenter.machines.map((m) => m.makeNew()));
  const beginMs = Date.now();
  const holdfast = await startHoldfast(lab, "anew");
  try {
    return await measured(lab, beginMs, async (name) => {
      const { uuid } = lab.plan.machines.find((m) => m.name === name)!;
      const boot = { what: `${name} waits`, deadlineMs: bootDeadlineMs };
      await holdfast.watch.until(uuid, boot, isWaiting);
      await create(holdfast, uuid, name);
      const install = { what: `${name} phones home`, deadlineMs: installDeadlineMs };
      await holdfast.watch.until(uuid, install, hasPhonedHome);
      return lab.timeline.until(name, "phoned home", beginMs, 1000);
    });
  } finally {
    await holdfast.stop();
    for (const machine of lab.datacenter.machines) machine.call(["0x20", "set", "power", "0"]);
  }
}

async function create(holdfast: Holdfast, uuid: string, name: string): Promise<void> {
  const { project, image, network } = holdfast.seeded;
  await holdfast.api.machines.create({
    project,
    uuid,
    image,
    name: `measured-${name}`,
    hostname: `measured-${name}`,
    networks: [{ network, ips: [] }],
    allocationType: MachineAllocationType.MACHINE,
  });
}

async function startHandMade(lab: Lab): Promise<{ stop(): Promise<void> }> {
  const { plan } = lab;
  const { address } = plan.provisioning;
  const files = serveFiles(plan, lab.files, { address, port: plan.agentPort, name: "baseline" });
  copyFileSync(path.join(import.meta.dirname, "baseline/install.sh"), path.join(files.folder, "install.sh"));
  writeFileSync(path.join(files.folder, "boot.ipxe"), bootScript(plan));
  const config = path.join(plan.folder, "baseline-dnsmasq.conf");
  writeFileSync(config, dnsmasqConfig(plan));
  const log = path.join(plan.folder, "baseline-dnsmasq.log");
  const command = ["dnsmasq", "--keep-in-foreground", `--conf-file=${config}`];
  const dnsmasq: Running = start(command, { name: "dnsmasq of the baseline", log });
  const receiver = await receivePhoneHome(lab);
  return {
    async stop() {
      receiver.close();
      receiver.closeAllConnections();
      await Promise.all([files.running.stop("SIGTERM", 2000), dnsmasq.stop("SIGTERM", 2000)]);
    },
  };
}

/** Takes `POST /phone-home/MAC` of the installed system and `POST /report/MAC?step=NAME` of the script. */
async function receivePhoneHome(lab: Lab): Promise<Server> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://lab");
    const [, what, mac] = url.pathname.split("/");
    const machine = lab.plan.machines.find((m) => m.mac === mac?.toLowerCase());
    const stage = what === "phone-home" ? "phoned home" : url.searchParams.get("step");
    if (machine && stage !== null) lab.timeline.add({ machine: machine.name, stage, atMs: Date.now() });
    request.resume();
    response.writeHead(machine ? 204 : 404).end();
  });
  server.listen(lab.plan.imagePort, lab.plan.provisioning.address);
  await once(server, "listening");
  return server;
}

/** One script for every machine: what differs between them, iPXE fills in from its lease. */
export function bootScript(plan: LabPlan): string {
  const { address, prefix } = plan.provisioning;
  const files = `http://${address}:${plan.agentPort}`;
  const reports = `http://${address}:${plan.imagePort}`;
  const net = (name: string) => `\${net0/${name}}`;
  const words = [
    "console=ttyS0 quiet panic=10",
    `holdfast.mac=${net("mac")}`,
    `lab.script=${files}/install.sh`,
    `lab.image=${files}/os.tar`,
    `lab.base=${reports}/report/${net("mac")}`,
    `lab.phone-home=${reports}/phone-home/${net("mac")}`,
    "lab.disk=/dev/vda",
    `lab.host=${net("mac:hexhyp")}`,
    `lab.address=${net("ip")}/${prefix.length}`,
    `lab.gateway=${net("gateway")}`,
    "lab.key=none",
  ];
  return `#!ipxe\nkernel ${files}/kernel ${words.join(" ")} initrd=initrd\ninitrd --name initrd ${files}/initrd\nboot\n`;
}

export function dnsmasqConfig(plan: LabPlan): string {
  const { bridge, address, from, to } = plan.provisioning;
  return [
    "port=0",
    `interface=${bridge}`,
    "bind-interfaces",
    "except-interface=lo",
    "user=root",
    "no-resolv",
    "no-hosts",
    "pid-file=",
    "no-ping",
    "dhcp-authoritative",
    "dhcp-no-override",
    `dhcp-leasefile=${path.join(plan.folder, "baseline-dnsmasq.leases")}`,
    `dhcp-range=${from},${to},1h`,
    "enable-tftp",
    "tftp-root=/usr/lib/ipxe",
    "dhcp-match=set:ipxe,175",
    "dhcp-match=set:bios,option:client-arch,0",
    `dhcp-boot=tag:ipxe,http://${address}:${plan.agentPort}/boot.ipxe`,
    "dhcp-boot=tag:!ipxe,tag:bios,undionly.kpxe",
    "dhcp-boot=tag:!ipxe,tag:!bios,snponly.efi",
    // ipxe.no-pxedhcp: iPXE does not wait for a ProxyDHCP offer.
    "dhcp-option=tag:ipxe,encap:175,176,1b",
    ...plan.machines.map((m) => `dhcp-host=${m.mac},${hostAddress(from, m.number - 1)}`),
    "",
  ].join("\n");
}

/** Fixed addresses: two servers that ask at once are offered the same one by a dnsmasq that does not ping. */
const hostAddress = (from: string, offset: number): string =>
  from.replace(/\d+$/, (last) => String(Number(last) + offset));
