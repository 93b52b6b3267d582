import type { Transport } from "@connectrpc/connect";
import type { ReinstallDuty } from "#gen/holdfast/install/v1/install_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { Agent } from "./agent.ts";
import type { BootArguments } from "./boot-arguments.ts";
import type { Facts } from "./facts.ts";
import { registration } from "./hardware.ts";
import { type InstallInputs, install } from "./install.ts";
import type { Server } from "./server.ts";
import { type Say, StepFailed, Steps } from "./steps.ts";
import { isWiped, type WipeEvidence, wipeMethods, wipeSummary } from "./wipe.ts";
import { wipeDisk } from "./wipe-disk.ts";

export interface LifePorts {
  readonly server: Server;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly say: Say;
  readonly version: string;
}

const aliveEveryMs = 15_000;
const rebootAfterMs = 5_000;
/** How long a failure is tried to be told before the server reboots all the same. */
const crashToldMs = 60_000;

/** From the first line in the initrd to the new kernel, or, on any failure, to a report of it and another round. */
export async function life(boot: BootArguments, ports: LifePorts): Promise<never> {
  const { server, clock, say } = ports;
  const uuid = server.machineUuid();
  const onTrouble = (error: unknown) => say("agent", `does not answer, trying on: ${reasonOf(error)}`);
  const agent = new Agent(ports.transport, uuid, { clock, random: ports.random, onTrouble });
  const steps = new Steps({ clock, say, report: (news) => agent.reportSteps(news) });
  let how: "kexec" | "reboot" = "reboot";
  try {
    if (uuid === "") throw new StepFailed("inventory", "the firmware gives no system UUID (SMBIOS type 1)");
    const ordered = await untilAllocated(boot, { ...ports, agent, steps });
    await agent.event(Event.INSTALLING);
    how = await install({ boot, ...ordered }, { ...ports, agent, steps, uuid });
  } catch (error) {
    const reason = error instanceof StepFailed ? error.message : `installer: ${reasonOf(error)}`;
    say("crashed", reason);
    await within(
      clock,
      crashToldMs,
      agent.event(Event.CRASHED, reason.slice(0, 1000)).then(() => steps.told(crashToldMs)),
    );
    await clock.sleep(rebootAfterMs);
  }
  return server.start(how);
}

type Working = LifePorts & { readonly agent: Agent; readonly steps: Steps };

async function untilAllocated(boot: BootArguments, ports: Working): Promise<Omit<InstallInputs, "boot">> {
  const { agent, steps, server } = ports;
  // Told while the inventory is taken; awaited before the next event, since their order says where a machine is.
  const preparing = agent.event(Event.PREPARING);
  preparing.catch(() => {});
  const facts = await steps.run("inventory", () => server.inventory(), inventorySummary);
  await preparing;
  const duty = await steps.run(
    "duty",
    () => agent.duty(),
    ({ case: what }) => what ?? "none",
  );
  await agent.event(Event.REGISTERING);
  await steps.run("register", () => agent.register(registration(facts, boot, ports.version)));
  if (duty.case === "reinstall") return { facts, ...toReinstall(duty.value) };
  if (duty.case !== "wipe")
    throw new StepFailed("duty", "the agent says neither to wipe nor to keep: no disk is touched");
  const evidence = await steps.run("wipe", () => wipe(facts, ports), wipeSummary);
  await agent.event(Event.WAITING, wipeSummary(evidence));
  return { facts, allocation: await steps.run("wait", () => waiting(ports)) };
}

function toReinstall(reinstall: ReinstallDuty): Pick<InstallInputs, "allocation" | "reinstall"> {
  const { allocation } = reinstall;
  if (allocation === undefined) throw new StepFailed("duty", "the agent names no allocation to reinstall");
  return { allocation, reinstall };
}

const inventorySummary = (facts: Facts): string =>
  `${facts.disks.length} disks, ${facts.nics.length} NICs, ${facts.firmware}`;

/** All disks at once. The evidence is reported whatever it says, and one disk that keeps its data ends this round. */
async function wipe(facts: Facts, ports: Working): Promise<readonly WipeEvidence[]> {
  const evidence = await Promise.all(facts.disks.map((disk) => wipeDisk(disk, wipeMethods(disk), ports)));
  await ports.agent.reportWipe(evidence);
  if (!isWiped(evidence)) throw new StepFailed("wipe", wipeSummary(evidence.filter((e) => e.error !== "")));
  return evidence;
}

async function waiting({ agent, clock }: Working): Promise<MachineAllocation> {
  const stop = new AbortController();
  const alive = (async () => {
    for (;;) {
      await clock.sleep(aliveEveryMs, stop.signal);
      await agent.tryEvent(Event.ALIVE, stop.signal);
    }
  })().catch(() => {});
  try {
    return await agent.wait(stop.signal);
  } finally {
    stop.abort();
    await alive;
  }
}

async function within(clock: Clock, limitMs: number, work: Promise<void>): Promise<void> {
  const limit = new AbortController();
  await Promise.race([work, clock.sleep(limitMs, limit.signal)]).catch(() => {});
  limit.abort();
}
