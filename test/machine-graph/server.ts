// A server, its firmware and the installer or system on it, which go on by one step at a time; and what must never happen to its disk.
import { create } from "@bufbuild/protobuf";
import {
  BeginOverwriteRequestSchema,
  DutyRequestSchema,
  PlanRequestSchema,
  ReportWipeRequestSchema,
} from "#gen/holdfast/install/v1/install_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import {
  BootServiceInstallationSucceededRequestSchema,
  BootServiceRegisterRequestSchema,
  BootServiceWaitRequestSchema,
} from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventServiceSendRequestSchema } from "#gen/metalstack/infra/v2/event_pb.ts";
import { bug } from "#lib/bug.ts";
import { Refusal } from "#lib/refusal.ts";
import { Agent } from "./agent.ts";
import { type Runs, type Standing, uuid } from "./standing.ts";

/** What must never be. */
export class Broken extends Error {}

/** @param s changed in place */
export async function goOn(s: Standing): Promise<void> {
  const { server } = s;
  switch (server.runs) {
    case "nothing":
      return;
    case "firmware":
      return await boot(s);
    case "system":
      server.isLivedIn = true;
      return await unlessRefused(() => new Agent(s).home(server.data));
    default:
      return await work(s);
  }
}

/** The installer says that it failed, if it is let, and boots again. */
export async function fail(s: Standing): Promise<void> {
  if (!installing.includes(s.server.runs)) return;
  await unlessRefused(() => say(s, Event.CRASHED));
  s.server.runs = "firmware";
}

const installing: readonly Runs[] = ["begun", "wiping", "waiting", "allocated", "reinstalling", "writing", "written"];

/** Where no network answers it boots from disk, and hangs where there is nothing on it. */
async function boot(s: Standing): Promise<void> {
  const { server } = s;
  const isFromNetwork = (server.bootsNetworkOnce || !server.bootsDisk) && server.port === 0n;
  const script = isFromNetwork ? await new Agent(s).script() : undefined;
  if (script?.kind === "later") return;
  server.bootsNetworkOnce = false;
  server.runs = script?.kind === "installer" ? "begun" : server.isBootable ? "system" : "nothing";
}

/** What an installer is refused makes it fail, unless it may be answered later. */
async function work(s: Standing): Promise<void> {
  try {
    s.server.runs = await step(s);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code !== "unavailable") await fail(s);
  }
}

/** @returns what it does next */
async function step(s: Standing): Promise<Runs> {
  const { server } = s;
  switch (server.runs) {
    case "begun":
      return await registers(s);
    case "wiping":
      return await wipes(s);
    case "waiting":
      return (await waits(s)) ? "allocated" : "waiting";
    case "allocated":
      return await begins(s);
    case "reinstalling":
      return await overwrites(s);
    case "writing": {
      const { boot, context } = await new Agent(s).installer();
      server.isBootable = true;
      await boot.installationSucceeded(create(BootServiceInstallationSucceededRequestSchema, { uuid }), context);
      return "written";
    }
    case "written":
      await unlessRefused(() => say(s, Event.BOOTING_NEW_KERNEL));
      return "system";
    default:
      return bug(`${server.runs} is no installer's work`);
  }
}

async function registers(s: Standing): Promise<Runs> {
  await say(s, Event.PREPARING);
  const { install, boot, context, hardware } = await new Agent(s).installer();
  const { duty } = await install.duty(create(DutyRequestSchema, { uuid }), context);
  await say(s, Event.REGISTERING);
  await boot.register(create(BootServiceRegisterRequestSchema, { uuid, hardware, partition: "p1" }), context);
  return duty?.case === "reinstall" ? "reinstalling" : "wiping";
}

async function wipes(s: Standing): Promise<Runs> {
  const { server, central } = s;
  if (server.isLivedIn && central.allocation && server.data === central.epoch)
    throw new Broken("a disk is wiped whose tenant has not given it back");
  Object.assign(server, { data: 0n, isLivedIn: false, isBootable: false });
  const { install, context } = await new Agent(s).installer();
  await install.reportWipe(create(ReportWipeRequestSchema, { uuid, disks: [{ device: "/dev/sda" }] }), context);
  await say(s, Event.WAITING);
  return "waiting";
}

/** @returns whether it was given an allocation; its stream is still open if not */
async function waits(s: Standing): Promise<boolean> {
  await say(s, Event.ALIVE);
  const { boot, context, stop } = await new Agent(s).installer();
  const told = boot.wait(create(BootServiceWaitRequestSchema, { uuid }), context)[Symbol.asyncIterator]().next();
  const idle = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
  const first = await Promise.race([told, idle]);
  const { observed } = s;
  stop.abort();
  await told;
  if (first === undefined) s.observed = observed;
  return first !== undefined;
}

async function begins(s: Standing): Promise<Runs> {
  await say(s, Event.INSTALLING);
  const { install, context } = await new Agent(s).installer();
  const { epoch = 0n } = await install.plan(create(PlanRequestSchema, { uuid }), context);
  writes(s, epoch);
  return "writing";
}

async function overwrites(s: Standing): Promise<Runs> {
  await say(s, Event.INSTALLING);
  const { install, context } = await new Agent(s).installer();
  const { epoch = 0n } = await install.plan(create(PlanRequestSchema, { uuid }), context);
  const number = s.observed.reinstall?.begun ?? 0;
  await install.beginOverwrite(create(BeginOverwriteRequestSchema, { uuid, number }), context);
  writes(s, epoch);
  return "writing";
}

function writes({ server }: Standing, epoch: bigint): void {
  if (server.data !== 0n && server.data !== epoch)
    throw new Broken(`a disk is written for the tenant of epoch ${epoch} that holds data of epoch ${server.data}`);
  Object.assign(server, { data: epoch, isBootable: false });
}

async function say(s: Standing, event: Event): Promise<void> {
  const { events, context } = await new Agent(s).installer();
  await events.send(create(EventServiceSendRequestSchema, { events: { [uuid]: { event } } }), context);
}

async function unlessRefused(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}
