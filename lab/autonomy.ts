import { setTimeout as delay } from "node:timers/promises";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Seeded } from "#lib/seeded.ts";
import { Checks, reasonOf } from "./checks.ts";
import { allWait, printTimelines } from "./demo.ts";
import { type Fate, fates } from "./fate.ts";
import type { Holdfast } from "./holdfast.ts";
import type { Lab } from "./lab.ts";
import { OnSite } from "./on-site.ts";
import type { MachinePlan } from "./plan.ts";
import { SecondCut } from "./second-cut.ts";
import { bootDeadlineMs, type Created, eventTimeMs, installDeadlineMs, reportDeadlineMs, Tenant } from "./tenant.ts";
import { hasPhonedHome, isWaiting } from "./watch.ts";

/** Cuts the link while machines boot, install and are wiped, kills who may die, and shows that nothing was lost or done twice. */
export async function autonomy(lab: Lab, holdfast: Holdfast): Promise<Checks> {
  const checks = new Checks(lab.print);
  const run = new Autonomy(lab, holdfast, checks, await Tenant.arrives(lab, holdfast));
  await run.all();
  printTimelines(lab);
  return checks;
}

class Autonomy {
  readonly #lab: Lab;
  readonly #holdfast: Holdfast;
  readonly #checks: Checks;
  readonly #tenant: Tenant;
  readonly #site: OnSite;

  constructor(lab: Lab, holdfast: Holdfast, checks: Checks, tenant: Tenant) {
    this.#lab = lab;
    this.#holdfast = holdfast;
    this.#checks = checks;
    this.#tenant = tenant;
    this.#site = new OnSite(lab.plan);
  }

  async all(): Promise<void> {
    const stranger = this.#lab.plan.machines.find((m) => m.isLate)!;
    const first = this.#lab.plan.machines.filter((m) => !m.isLate);
    await this.#checks.stage("two servers are found by their BMCs, boot from the network and wait", () =>
      allWait(this.#holdfast, first),
    );
    const beta = await this.#checks.stage("beta is created, installed and in use", () => this.#inUse("beta"));
    const alpha = await this.#checks.stage("alpha is created and its installation begins", () =>
      this.#installing("alpha"),
    );
    const deletedMs = await this.#checks.stage("beta is deleted, and the agent knows it", () => this.#deleted(beta!));
    const cutMs = await this.#checks.stage("the link is cut: packets between agent and central vanish", () =>
      this.#cut(),
    );
    await this.#cutOff({ alpha, beta, stranger, deletedMs: deletedMs ?? 0, cutMs: cutMs ?? 0 });
    const healedMs = await this.#checks.stage("the link is healed", () => this.#heal());
    await this.#rejoined({ alpha, beta, stranger, deletedMs: deletedMs ?? 0, healedMs: healedMs ?? 0 });
    const parts = {
      lab: this.#lab,
      holdfast: this.#holdfast,
      checks: this.#checks,
      tenant: this.#tenant,
      site: this.#site,
    };
    await new SecondCut(parts).all(alpha);
  }

  async #inUse(name: string): Promise<Created> {
    const created = await this.#tenant.create(name);
    await this.#tenant.phonedHome(created);
    await this.#tenant.login(created);
    return created;
  }

  async #installing(name: string): Promise<Created> {
    const created = await this.#tenant.create(name);
    await this.#tenant.installing(created);
    return created;
  }

  async #deleted(created: Created): Promise<number> {
    const deletedMs = await this.#tenant.delete(created);
    await this.#holdfast.watch.until(
      created.plan.uuid,
      { what: "the agent enters the release", deadlineMs: reportDeadlineMs },
      (seen) => eventTimeMs(seen, Event.MACHINE_RECLAIM) >= deletedMs - 1000,
    );
    return deletedMs;
  }

  async #cut(): Promise<number> {
    await this.#lab.core!.cut();
    this.#mark("link cut");
    return Date.now();
  }

  async #heal(): Promise<number> {
    await this.#lab.core!.heal();
    this.#mark("link healed");
    return Date.now();
  }

  #mark(stage: string): void {
    for (const { name } of this.#lab.plan.machines) this.#lab.timeline.add({ machine: name, stage, atMs: Date.now() });
  }

  /** All of this happens at once; each claim is a stage of its own, told in order when the cut is over. */
  async #cutOff(then: {
    readonly alpha: Created | undefined;
    readonly beta: Created | undefined;
    readonly stranger: MachinePlan;
    readonly deletedMs: number;
    readonly cutMs: number;
  }): Promise<void> {
    const { alpha, beta, stranger, cutMs } = then;
    if (!alpha || !beta) return;
    const endMs = cutMs + this.#lab.options.cutSeconds * 1000;
    const under = { deaths: this.#deaths(cutMs), ...this.#claims(alpha, beta, stranger) };
    for (const claim of Object.values(under)) claim.catch(() => undefined);
    await this.#checks.stage(
      "cut off: alpha's installation ends, its system starts and lets its tenant in",
      () => under.installs,
    );
    await this.#checks.stage("cut off: beta is isolated, wiped and waits again", () => under.wiped);
    await this.#checks.stage(
      "cut off: a server that nobody has ever seen is found, boots, registers and waits",
      () => under.found,
    );
    await this.#checks.stage("cut off: people on site switch it off and on again", () => under.switched);
    await this.#checks.stage(
      "agent, central and an etcd member were killed (SIGKILL) meanwhile and came back",
      () => under.deaths,
    );
    await this.#checks.stage(
      `the cut has lasted ${this.#lab.options.cutSeconds} s, and central knows nothing of all this`,
      async () => {
        await delay(Math.max(0, endMs - Date.now()), undefined, { signal: this.#lab.signal });
        const { watch } = this.#holdfast;
        if (hasPhonedHome(watch.get(alpha.plan.uuid)!)) throw new Error("central has heard of alpha's phone-home");
        if (watch.get(stranger.uuid)) throw new Error("central knows the new server");
      },
    );
  }

  #claims(alpha: Created, beta: Created, stranger: MachinePlan) {
    const { timeline, datacenter } = this.#lab;
    const ready = (plan: MachinePlan, deadlineMs: number) => this.#site.until(plan, "READY", deadlineMs);
    const installs = timeline
      .until(alpha.plan.name, "os up", alpha.createdMs, installDeadlineMs)
      .then(() => this.#tenant.login(alpha));
    datacenter.plugIn(stranger);
    const found = ready(stranger, bootDeadlineMs + installDeadlineMs);
    const switched = found.then(async () => {
      await this.#site.power(stranger, "off");
      await this.#site.power(stranger, "on");
    });
    return { installs, wiped: ready(beta.plan, bootDeadlineMs + installDeadlineMs), found, switched };
  }

  async #deaths(cutMs: number): Promise<void> {
    const { options, etcd, print } = this.#lab;
    const member = new Seeded(options.seed).pick(etcd!.names);
    const plan = fates(options.seed, ["agent", "central", member], options.cutSeconds * 1000);
    print(`           --seed ${options.seed}: ${plan.map((f) => `${f.victim} ${f.diesMs / 1000} s`).join(", ")}`);
    for (const fate of plan) {
      await this.#die(fate, cutMs).catch((error: unknown) => {
        throw new Error(`${fate.victim}: ${reasonOf(error)}`, { cause: error });
      });
    }
  }

  async #die({ victim, diesMs, risesMs }: Fate, cutMs: number): Promise<void> {
    const { central, agent } = this.#holdfast;
    const etcd = this.#lab.etcd!;
    const until = (ms: number) => delay(Math.max(0, cutMs + ms - Date.now()), undefined, { signal: this.#lab.signal });
    const daemon = victim === "central" ? central : victim === "agent" ? agent : undefined;
    await until(diesMs);
    await (daemon ? daemon.kill() : etcd.kill(victim));
    this.#mark(`${victim} killed`);
    await until(risesMs);
    await (daemon ? daemon.start() : etcd.restart(victim));
    this.#mark(`${victim} back`);
  }

  async #rejoined(then: {
    readonly alpha: Created | undefined;
    readonly beta: Created | undefined;
    readonly stranger: MachinePlan;
    readonly deletedMs: number;
    readonly healedMs: number;
  }): Promise<void> {
    const { alpha, beta, stranger, deletedMs, healedMs } = then;
    await this.#checks.stage("rejoined: central hears that alpha phoned home, at the time when it did", async () => {
      const seen = await this.#tenant.phonedHome(alpha!, reportDeadlineMs);
      const atMs = eventTimeMs(seen, Event.PHONED_HOME);
      if (atMs >= healedMs) throw new Error(`the event has the time ${new Date(atMs).toISOString()}, after the cut`);
    });
    await this.#checks.stage("rejoined: central hears that beta waits again, wiped", async () => {
      await this.#tenant.waitsAgain(beta!, deletedMs, reportDeadlineMs);
      await this.#tenant.nothingLeft(beta!);
    });
    await this.#checks.stage("rejoined: central hears of the new server", async () => {
      const want = { what: `${stranger.name} waits`, deadlineMs: bootDeadlineMs };
      await this.#holdfast.watch.until(stranger.uuid, want, isWaiting);
    });
    await this.#checks.stage("nothing was done twice: each machine was installed exactly once", () =>
      this.#tenant.installedOnce(alpha!),
    );
  }
}
