import { setTimeout as delay } from "node:timers/promises";
import { Checks } from "./checks.ts";
import type { Holdfast } from "./holdfast.ts";
import type { Lab } from "./lab.ts";
import type { MachinePlan } from "./plan.ts";
import { bootDeadlineMs, type Created, installDeadlineMs, reportDeadlineMs, Tenant } from "./tenant.ts";
import { timelineLines } from "./timeline.ts";
import { isWaiting } from "./watch.ts";

const outageMs = 60_000;

/** Creates two machines through the public API, breaks what can break on the way, logs in, deletes them. */
export async function demo(lab: Lab, holdfast: Holdfast): Promise<Checks> {
  const checks = new Checks(lab.print);
  const run = new Demo(lab, holdfast, checks, await Tenant.arrives(lab, holdfast));
  await checks.stage("the machines are found by their BMCs, boot from the network and wait", () =>
    allWait(holdfast, lab.plan.machines),
  );
  const created = lab.options.faults ? await run.createWithFaults() : await run.createAll();
  await run.prove(created);
  const keyChanges = await run.changeKey(created[1]);
  await run.reinstall(created[0]);
  await keyChanges?.();
  await run.deleteAll(created);
  await run.createAgain();
  printTimelines(lab);
  return checks;
}

/** Resolves when each of the machines waits for an allocation. */
export async function allWait(holdfast: Holdfast, machines: readonly MachinePlan[]): Promise<void> {
  const want = { what: "waiting for an allocation", deadlineMs: bootDeadlineMs };
  await Promise.all(machines.map((m) => holdfast.watch.until(m.uuid, want, isWaiting)));
}

export function printTimelines(lab: Lab): void {
  for (const m of lab.plan.machines) {
    lab.print(`\n${m.name} (${m.firmware})`);
    for (const line of timelineLines(lab.timeline.marks, m.name)) lab.print(line);
  }
  lab.print("");
}

class Demo {
  readonly #lab: Lab;
  readonly #holdfast: Holdfast;
  readonly #checks: Checks;
  readonly #tenant: Tenant;

  constructor(lab: Lab, holdfast: Holdfast, checks: Checks, tenant: Tenant) {
    this.#lab = lab;
    this.#holdfast = holdfast;
    this.#checks = checks;
    this.#tenant = tenant;
  }

  /** The machines that the demo uses: two, or the one that there is. */
  get #wanted(): readonly string[] {
    return ["alpha", "beta"].slice(0, this.#lab.plan.machines.length);
  }

  async createAll(): Promise<readonly Created[]> {
    const made = await this.#checks.stage("machines are created through the public API", () =>
      Promise.all(this.#wanted.map((name) => this.#tenant.create(name))),
    );
    await this.#checks.stage("they are installed and phone home", () =>
      Promise.all((made ?? []).map((m) => this.#tenant.phonedHome(m))),
    );
    return made ?? [];
  }

  async createWithFaults(): Promise<readonly Created[]> {
    const tenant = this.#tenant;
    const first = await this.#checks.stage("a machine is created through the public API", () => tenant.create("alpha"));
    const killed = await this.#checks.stage("central is killed (SIGKILL) while the machine is being installed", () =>
      this.#killCentral(first!),
    );
    await this.#checks.stage("the machine is installed and its system comes up while central is away", async () => {
      const mark = await this.#lab.timeline.until(first!.plan.name, "os up", first!.createdMs, installDeadlineMs);
      if (this.#holdfast.central.pid !== undefined) throw new Error(`central was back before ${mark.stage}`);
    });
    await this.#checks.stage("central comes back after a minute and learns that the machine phoned home", async () => {
      await delay(Math.max(0, killed! + outageMs - Date.now()), undefined, { signal: this.#lab.signal });
      await this.#holdfast.central.start();
      await tenant.phonedHome(first!, reportDeadlineMs);
      await tenant.connected(first!);
    });
    if (this.#lab.plan.machines.length < 2) return first ? [first] : [];
    const second = await this.#checks.stage("a second machine is created", () => tenant.create("beta"));
    await this.#checks.stage("the agent is killed (SIGKILL) while it is being installed, and started again", () =>
      this.#restartAgent(second!),
    );
    await this.#checks.stage("the second machine phones home all the same", () => tenant.phonedHome(second!));
    return first && second ? [first, second] : [];
  }

  async #killCentral(created: Created): Promise<number> {
    await this.#tenant.installing(created);
    await this.#holdfast.central.kill();
    this.#lab.timeline.add({ machine: created.plan.name, stage: "central killed", atMs: Date.now() });
    return Date.now();
  }

  async #restartAgent(created: Created): Promise<void> {
    await this.#tenant.installing(created);
    await this.#holdfast.agent.kill();
    this.#lab.timeline.add({ machine: created.plan.name, stage: "agent killed", atMs: Date.now() });
    await this.#holdfast.agent.start();
    this.#lab.timeline.add({ machine: created.plan.name, stage: "agent back", atMs: Date.now() });
  }

  /** Installed once, and reachable with the key that was given. */
  async prove(created: readonly Created[]): Promise<void> {
    await this.#checks.stage("each machine was installed exactly once", async () => {
      for (const one of created) await this.#tenant.installedOnce(one);
    });
    await this.#checks.stage(
      "the given key logs in by ssh, and hostname and kernel are the installed ones",
      async () => void (await Promise.all(created.map((c) => this.#tenant.login(c)))),
    );
  }

  /** @returns what proves it later: the machine asks for its keys once a minute */
  async changeKey(other: Created | undefined): Promise<(() => Promise<void>) | undefined> {
    if (!other) return undefined;
    const tenant = this.#tenant;
    const key = await this.#checks.stage("the second machine's key is changed", () => tenant.changeKey(other));
    return async () =>
      await this.#checks.stage("the second machine lets its new key in, and the former one not any more", () =>
        tenant.hasChangedKey(other, key!),
      );
  }

  /** Of one machine, as it takes as long as its first installation. */
  async reinstall(one: Created | undefined): Promise<void> {
    const tenant = this.#tenant;
    await this.#checks.stage("the first machine's tenant writes to its data disk", () => tenant.storeData(one!));
    await this.#checks.stage(
      "a reinstallation that is called off in time leaves it the system that it had",
      async () => {
        await tenant.reinstalling(one!, await tenant.orderReinstall(one!));
        await tenant.abortReinstall(one!);
      },
    );
    await this.#checks.stage("it is reinstalled, and its new system phones home", async () => {
      await tenant.reinstalled(one!, await tenant.orderReinstall(one!));
    });
    await this.#checks.stage("the system is another, and the data disk holds what it held", () =>
      tenant.keptData(one!),
    );
  }

  /** What was wiped can be given to somebody again. */
  async createAgain(): Promise<void> {
    await this.#checks.stage("a machine is created again, is installed and phones home", async () => {
      await this.#tenant.phonedHome(await this.#tenant.create("gamma"));
    });
  }

  async deleteAll(created: readonly Created[]): Promise<void> {
    const deletedMs = Date.now();
    await this.#checks.stage("the machines are deleted through the public API", async () => {
      for (const one of created) await this.#tenant.delete(one);
    });
    await this.#checks.stage(
      "they are wiped and wait again",
      async () => void (await Promise.all(created.map((c) => this.#tenant.waitsAgain(c, deletedMs)))),
    );
    await this.#checks.stage("nothing of the former tenant is left on their disks", async () => {
      for (const one of created) await this.#tenant.nothingLeft(one);
    });
  }
}
