import { type Client, ConnectError } from "@connectrpc/connect";
import { kinds } from "#central/store/kinds.ts";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Seeded } from "#lib/seeded.ts";
import { image, size } from "./catalog.ts";
import type { Datacenter } from "./datacenter.ts";
import { secretOf } from "./secrets.ts";
import type { World } from "./world.ts";

const callMs = 15_000;

/** Delegates machines, addresses and networks to a datacenter, for the world's project. */
export async function grantBudget(
  world: World,
  { partition, network }: Datacenter,
  wanted: { readonly machines: number; readonly addresses: number; readonly networks: number },
): Promise<void> {
  await world
    .asAdmin(BudgetService)
    .grant(
      { partition, project: world.project, size, network, parentNetwork: `super-${partition}`, ...wanted },
      { timeoutMs: callMs },
    );
}

/** An administrator who grants, changes and revokes budgets, and members of the project who ask the agents themselves. */
export class BudgetPeople {
  readonly #world: World;
  readonly #random: Seeded;
  readonly #budgets: Client<typeof BudgetService>;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random.branch("budget people");
    this.#budgets = world.asAdmin(BudgetService);
  }

  /** One wish after the other, with pauses, until the signal aborts. */
  async run(pauseMs: readonly [number, number], signal: AbortSignal): Promise<void> {
    const { outside, trace, datacenters } = this.#world;
    // Without a budget there is nothing to wish for.
    const first = datacenters.map((at) => () => this.#administer(at));
    while (!signal.aborted) {
      try {
        await (first.pop() ?? (() => this.#wish()))();
      } catch (error) {
        if (!(error instanceof ConnectError) && !/nobody listens/.test(String(error))) throw error;
        trace.say(`budget people are refused: ${String(error).slice(0, 160)}`);
      }
      await outside.after(this.#random.between(...pauseMs));
    }
  }

  async #wish(): Promise<void> {
    const at = this.#random.pick(this.#world.datacenters);
    const dice = this.#random.next();
    if (dice < 0.2) return await this.#administer(at);
    if (dice < 0.45) return await this.#createAt(at);
    if (dice < 0.65) return await this.#deleteAt(at);
    if (dice < 0.8) return await this.#addressAt(at);
    return await this.#networkAt(at);
  }

  async #administer(at: Datacenter): Promise<void> {
    const { agent, partition, servers } = at;
    const [known] = (await this.#budgets.list({ partition }, { timeoutMs: callMs })).budgets;
    const machines = this.#random.between(0, servers.length + 0.99);
    const addresses = 1 + Math.floor(this.#random.between(0, 3.99));
    const wanted = { machines: Math.floor(machines), addresses, networks: this.#random.below(3) };
    const id = known?.budget?.id;
    if (id === undefined) return await grantBudget(this.#world, at, wanted);
    const force = /lost its disk/.test(known?.problem ?? "");
    // A copy of the agent was let in: the agent itself knows what it gave away, and comes back when the copy is gone.
    if (force && agent.agent?.outbox.id === this.#world.truth.get(kinds.budget, id)?.value.outbox) return;
    if (force || this.#random.chance(0.3)) await this.#budgets.revoke({ id, force }, { timeoutMs: callMs });
    else await this.#budgets.resize({ id, ...wanted }, { timeoutMs: callMs });
    this.#world.trace.say(`budget of ${partition}: ${force ? "revoked by force" : JSON.stringify(wanted)}`);
  }

  async #createAt(at: Datacenter): Promise<void> {
    const { agent, partition } = at;
    const { project, outside, trace } = this.#world;
    const network = await this.#homeAt(at);
    const name = `cut-${this.#random.below(1_000)}`;
    const { machine } = await agent.people(outside).machines.create(
      {
        ...{ project, partition, size, image, name, hostname: name, networks: [{ network, ips: [] }] },
        userdata: secretOf(partition),
        allocationType: MachineAllocationType.MACHINE,
      },
      { timeoutMs: callMs },
    );
    trace.say(`${partition} gave away ${machine?.uuid.slice(-2)} as ${name}, in network ${network.slice(-4)}`);
  }

  async #deleteAt({ agent, partition }: Datacenter): Promise<void> {
    const { project, outside, trace } = this.#world;
    const { machines } = agent.people(outside);
    const { locals } = agent.agent?.site ?? {};
    const all = (await machines.list({ project }, { timeoutMs: callMs })).machines;
    // What central has adopted is refused: mostly, what is not is asked for.
    const own = all.filter(({ uuid }) => locals?.machine(uuid));
    const mine = own.length > 0 ? own : all;
    if (mine.length === 0) return;
    const { uuid } = this.#random.pick(mine);
    await machines.delete({ uuid, project }, { timeoutMs: callMs });
    trace.say(`${partition} took back ${uuid.slice(-2)}`);
  }

  async #addressAt(at: Datacenter): Promise<void> {
    const { project, outside } = this.#world;
    const network = await this.#homeAt(at);
    const { ips } = at.agent.people(outside);
    const mine = (await ips.list({ project }, { timeoutMs: callMs })).ips;
    const one = mine.length > 0 && this.#random.chance(0.5) ? this.#random.pick(mine) : undefined;
    if (one) await ips.delete({ ip: one.ip, project }, { timeoutMs: callMs });
    else await ips.create({ project, network }, { timeoutMs: callMs });
  }

  /** Every second time one of those that were made here, if there are any. */
  async #homeAt({ agent, network }: Datacenter): Promise<string> {
    const { project, outside } = this.#world;
    if (this.#random.chance(0.5)) return network;
    const { networks } = await agent.people(outside).networks.list({ project }, { timeoutMs: callMs });
    const made = networks.filter(({ name }) => name !== undefined && name !== "");
    return made.length === 0 ? network : this.#random.pick(made).id;
  }

  async #networkAt({ agent, partition }: Datacenter): Promise<void> {
    const { project, outside, trace } = this.#world;
    const { networks } = agent.people(outside);
    const deleteIt = async (id: string) => {
      await networks.delete({ id, project }, { timeoutMs: callMs });
      trace.say(`${partition} deleted network ${id.slice(-4)}`);
    };
    const [own] = agent.agent?.site.locals.networks().filter(({ deleted }) => !deleted) ?? [];
    const id = own?.network?.id;
    if (id !== undefined && this.#random.chance(0.4)) return await deleteIt(id);
    const name = `net-${this.#random.below(1_000)}`;
    const { network } = await networks.create({ project, name }, { timeoutMs: callMs });
    trace.say(`${partition} made network ${network?.id.slice(-4)} as ${name}`);
    // What central has adopted is refused, which takes no longer than the report.
    if (network && this.#random.chance(0.3)) await deleteIt(network.id);
  }
}
