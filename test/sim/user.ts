import { type Client, ConnectError } from "@connectrpc/connect";
import { kinds } from "#central/store/kinds.ts";
import { bmcCommandName } from "#domain/machine/bmc-command.ts";
import { MachineService as HoldfastMachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  type Machine,
  MachineAllocationType,
  MachineBMCCommand,
  MachineService,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Seeded } from "#lib/seeded.ts";
import { image, size } from "./catalog.ts";
import type { Datacenter } from "./datacenter.ts";
import { secretOf } from "./secrets.ts";
import type { World } from "./world.ts";

const callMs = 15_000;
const orders = [
  MachineBMCCommand.MACHINE_BMC_COMMAND_ON,
  MachineBMCCommand.MACHINE_BMC_COMMAND_OFF,
  MachineBMCCommand.MACHINE_BMC_COMMAND_RESET,
  MachineBMCCommand.MACHINE_BMC_COMMAND_CYCLE,
] as const;
const lights = [
  MachineBMCCommand.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON,
  MachineBMCCommand.MACHINE_BMC_COMMAND_IDENTIFY_LED_OFF,
] as const;

/** Somebody who uses machines through the public API and takes what comes. */
export class User {
  readonly #world: World;
  readonly #random: Seeded;
  readonly #machines: Client<typeof MachineService>;
  readonly #ours: Client<typeof HoldfastMachineService>;
  readonly done = { created: 0, deleted: 0, reinstalled: 0, ordered: 0, refused: 0, unanswered: 0 };

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random.branch("user");
    this.#machines = world.asAdmin(MachineService);
    this.#ours = world.asAdmin(HoldfastMachineService);
  }

  /** One wish after the other, with pauses, until the signal aborts. */
  async run(pauseMs: readonly [number, number], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#world.outside.after(this.#random.between(...pauseMs));
      if (signal.aborted) return;
      await this.#granted(() => this.#wish());
    }
  }

  async #granted(wish: () => Promise<void>): Promise<void> {
    try {
      await wish();
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      this.done[error.message.includes("timed out") ? "unanswered" : "refused"]++;
      this.#world.trace.say(`user is refused: ${error.message.slice(0, 160)}`);
    }
  }

  /** A machine more, one less, another system on one, or an order to one. */
  async #wish(): Promise<void> {
    const dice = this.#random.next();
    if (dice < 0.4) return await this.create();
    const mine = await this.list();
    if (mine.length === 0) return await this.create();
    const { uuid } = this.#random.pick(mine);
    if (dice < 0.6) return await this.delete(uuid);
    if (dice < 0.75) return await this.reinstall(uuid);
    if (dice < 0.82) return await this.abortReinstall(uuid);
    await this.order(uuid, this.#random.pick(orders));
  }

  /** Lets a machine show where it stands, again and again: of all orders those alone disturb nobody. */
  async lightUp(pauseMs: readonly [number, number], signal: AbortSignal): Promise<void> {
    const random = this.#random.branch("lights");
    while (!signal.aborted) {
      await this.#world.outside.after(random.between(...pauseMs));
      if (signal.aborted) return;
      await this.#granted(async () => {
        const mine = await this.list();
        if (mine.length > 0) await this.order(random.pick(mine).uuid, random.pick(lights));
      });
    }
  }

  async list(): Promise<readonly Machine[]> {
    const { project } = this.#world;
    return (await this.#machines.list({ project }, { timeoutMs: callMs })).machines;
  }

  /** @param more a certain machine instead of any; what else is wanted of it */
  async create(more: { readonly uuid?: string; readonly userdata?: string } = {}): Promise<void> {
    const { project, trace, datacenters } = this.#world;
    const { partition, network } = this.#random.pick(datacenters);
    const name = `web-${this.done.created}`;
    const { machine } = await this.#machines.create(
      {
        project,
        ...(more.uuid === undefined && { partition, size, userdata: secretOf(partition) }),
        ...more,
        image,
        name,
        hostname: name,
        networks: [{ network, ips: [] }],
        allocationType: MachineAllocationType.MACHINE,
      },
      { timeoutMs: callMs },
    );
    this.done.created++;
    trace.say(`user created ${machine?.uuid.slice(-2)} as ${name}`);
  }

  async delete(uuid: string): Promise<void> {
    await this.#machines.delete({ uuid, project: this.#world.project }, { timeoutMs: callMs });
    this.done.deleted++;
    this.#world.trace.say(`user deleted ${uuid.slice(-2)}`);
  }

  async reinstall(uuid: string): Promise<void> {
    const { number } = await this.#ours.reinstall({ uuid, project: this.#world.project }, { timeoutMs: callMs });
    this.done.reinstalled++;
    this.#world.trace.say(`user reinstalls ${uuid.slice(-2)}, order ${number}`);
  }

  async abortReinstall(uuid: string): Promise<void> {
    await this.#ours.abortReinstall({ uuid, project: this.#world.project }, { timeoutMs: callMs });
    this.#world.trace.say(`user aborts the reinstallation of ${uuid.slice(-2)}`);
  }

  /** Gives everything back, as often as it takes: a central that is behind shows less than there is. */
  async deleteAll(): Promise<void> {
    const { outside, trace } = this.#world;
    for (let tries = 0; tries < 60; tries++) {
      try {
        for (const { uuid } of await this.list()) await this.delete(uuid);
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        trace.say(`user is refused: ${error.message.slice(0, 160)}`);
      }
      await outside.after(10_000);
    }
  }

  async order(uuid: string, command: MachineBMCCommand): Promise<void> {
    await this.#machines.bMCCommand({ uuid, project: this.#world.project, command }, { timeoutMs: callMs });
    this.done.ordered++;
    this.#world.trace.say(`user orders ${bmcCommandName(command)} of ${uuid.slice(-2)}`);
  }
}

/** Somebody gives back one of the machines that are in use in a datacenter, if central takes that. */
export async function giveOneBack({ partition, world }: Datacenter, random: Seeded): Promise<void> {
  const { truth } = world;
  const isAtHome = ({ uuid, epoch }: MachineDesired) =>
    truth.get(kinds.machineObserved, uuid)?.value.phonedHomeEpoch === epoch;
  const held = truth.list(kinds.machineDesired).map(({ value }) => value);
  const inUse = held.filter((one) => one.partition === partition && one.allocation !== undefined && isAtHome(one));
  if (inUse.length === 0) return;
  const { uuid, allocation } = random.pick(inUse);
  try {
    await world.asAdmin(MachineService).delete({ uuid, project: allocation?.project ?? "" }, { timeoutMs: callMs });
    world.trace.say(`somebody deleted ${uuid.slice(-2)}`);
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    world.trace.say(`somebody is refused: ${error.message.slice(0, 160)}`);
  }
}

/** An administrator has looked at what a restored central wants, and says at central or on site that it holds. */
export async function acceptHistory({ agent, partition, world }: Datacenter, random: Seeded): Promise<void> {
  const { outside, trace } = world;
  const partitions = world.asAdmin(PartitionService);
  const atCentral = async () => {
    const { history } = await partitions.getHistory({ id: partition }, { timeoutMs: callMs });
    await partitions.acceptHistory({ id: partition, history }, { timeoutMs: callMs });
    return history;
  };
  const onSite = async () => {
    const site = agent.onSite(outside);
    const history = (await site.getStatus({}, { timeoutMs: callMs })).status?.historyHold?.held;
    if (history === undefined) throw new Error("the agent holds nothing");
    await site.acceptHistory({ history }, { timeoutMs: callMs });
    return history;
  };
  for (let tries = 0; tries < 30; tries++) {
    const isAtCentral = random.chance(0.5);
    try {
      const history = await (isAtCentral ? atCentral : onSite)();
      return trace.say(`history ${history} was accepted ${isAtCentral ? "at central" : "on site"}`);
    } catch (error) {
      trace.say(`history is not accepted: ${String(error).slice(0, 160)}`);
    }
    await outside.after(10_000);
  }
}

/** Somebody in the datacenter, who now and then gives a server an order by the agent's socket. */
export class OnSite {
  readonly #world: World;
  readonly #random: Seeded;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random.branch("on site");
  }

  async run(pauseMs: readonly [number, number], signal: AbortSignal): Promise<void> {
    const { outside, datacenters, trace } = this.#world;
    while (!signal.aborted) {
      await outside.after(this.#random.between(...pauseMs));
      if (signal.aborted) return;
      const at = this.#random.pick(datacenters);
      const { uuid, plan } = this.#random.pick(at.servers);
      const command = this.#random.pick(orders);
      trace.say(`on site: ${bmcCommandName(command)} of ${plan.name}`);
      // Nobody waits for the outcome with their hands in their lap: it is durable, and the next wish comes when it comes.
      const refused = (error: unknown) => trace.say(`on site is refused: ${String(error).slice(0, 160)}`);
      void this.#order(at, uuid, command).catch(refused);
    }
  }

  async #order({ agent }: Datacenter, machine: string, command: MachineBMCCommand): Promise<void> {
    const { outside } = this.#world;
    for await (const { outcome } of agent.onSite(outside).orderBmc({ machine, command })) if (outcome) return;
  }
}
