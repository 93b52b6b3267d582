import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { MachineProvisioningEventType as Event, MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Checks } from "./checks.ts";
import { diskHolds, hasPartitionTable } from "./disk.ts";
import type { Holdfast } from "./holdfast.ts";
import type { Lab } from "./lab.ts";
import type { MachinePlan } from "./plan.ts";
import { diskOf } from "./qemu.ts";
import { makeSshKey, onServer, type SshKey } from "./ssh.ts";
import { timelineLines } from "./timeline.ts";
import { eventsOf, hasPhonedHome, isWaiting } from "./watch.ts";

// Three times what a quiet machine of two cores needs.
const bootDeadlineMs = 150_000;
const installDeadlineMs = 180_000;
const reportDeadlineMs = 60_000;
const outageMs = 60_000;

/** One machine of the demo, from its creation on. */
interface Created {
  readonly plan: MachinePlan;
  readonly hostname: string;
  readonly createdMs: number;
}

/** Creates two machines through the public API, breaks what can break on the way, logs in, deletes them. */
export async function demo(lab: Lab, holdfast: Holdfast): Promise<Checks> {
  const checks = new Checks(lab.print);
  const run = new Demo(lab, holdfast, checks, await makeSshKey(lab.plan.folder));
  await checks.stage("the machines are found by their BMCs, boot from the network and wait", () => run.allWait());
  const created = lab.options.faults ? await run.createWithFaults() : await run.createAll();
  await run.prove(created);
  await run.deleteAll(created);
  for (const m of lab.plan.machines) {
    lab.print(`\n${m.name} (${m.firmware})`);
    for (const line of timelineLines(lab.timeline.marks, m.name)) lab.print(line);
  }
  lab.print("");
  return checks;
}

class Demo {
  readonly #lab: Lab;
  readonly #holdfast: Holdfast;
  readonly #checks: Checks;
  readonly #key: SshKey;
  readonly #secret = `secret of the former tenant ${randomBytes(16).toString("hex")}`;

  constructor(lab: Lab, holdfast: Holdfast, checks: Checks, key: SshKey) {
    this.#lab = lab;
    this.#holdfast = holdfast;
    this.#checks = checks;
    this.#key = key;
  }

  async allWait(): Promise<void> {
    const want = { what: "waiting for an allocation", deadlineMs: bootDeadlineMs };
    await Promise.all(this.#lab.plan.machines.map((m) => this.#holdfast.watch.until(m.uuid, want, isWaiting)));
  }

  /** The machines that the demo uses: two, or the one that there is. */
  get #wanted(): readonly string[] {
    return ["alpha", "beta"].slice(0, this.#lab.plan.machines.length);
  }

  async createAll(): Promise<readonly Created[]> {
    const made = await this.#checks.stage("machines are created through the public API", () =>
      Promise.all(this.#wanted.map((name) => this.#create(name))),
    );
    await this.#checks.stage("they are installed and phone home", () =>
      Promise.all((made ?? []).map((m) => this.#phonedHome(m))),
    );
    return made ?? [];
  }

  async createWithFaults(): Promise<readonly Created[]> {
    const first = await this.#checks.stage("a machine is created through the public API", () => this.#create("alpha"));
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
      await this.#phonedHome(first!, reportDeadlineMs);
    });
    if (this.#lab.plan.machines.length < 2) return first ? [first] : [];
    const second = await this.#checks.stage("a second machine is created", () => this.#create("beta"));
    await this.#checks.stage("the agent is killed (SIGKILL) while it is being installed, and started again", () =>
      this.#restartAgent(second!),
    );
    await this.#checks.stage("the second machine phones home all the same", () => this.#phonedHome(second!));
    return first && second ? [first, second] : [];
  }

  async #create(name: string): Promise<Created> {
    const { project, partition, size, image, network } = this.#holdfast.seeded;
    const createdMs = Date.now();
    const { machine } = await this.#holdfast.api.machines.create({
      project,
      partition,
      size,
      image,
      name,
      hostname: `lab-${name}`,
      sshPublicKeys: [this.#key.publicKey],
      networks: [{ network, ips: [] }],
      allocationType: MachineAllocationType.MACHINE,
    });
    const plan = this.#lab.plan.machines.find((m) => m.uuid === machine?.uuid);
    if (plan === undefined) throw new Error(`the API gave machine ${machine?.uuid}, which the lab does not have`);
    this.#lab.timeline.add({ machine: plan.name, stage: `created as ${name}`, atMs: createdMs });
    return { plan, hostname: `lab-${name}`, createdMs };
  }

  async #installing(created: Created): Promise<void> {
    await this.#lab.timeline.until(created.plan.name, "installing", created.createdMs, bootDeadlineMs);
  }

  async #killCentral(created: Created): Promise<number> {
    await this.#installing(created);
    await this.#holdfast.central.kill();
    this.#lab.timeline.add({ machine: created.plan.name, stage: "central killed", atMs: Date.now() });
    return Date.now();
  }

  async #restartAgent(created: Created): Promise<void> {
    await this.#installing(created);
    await this.#holdfast.agent.kill();
    this.#lab.timeline.add({ machine: created.plan.name, stage: "agent killed", atMs: Date.now() });
    await this.#holdfast.agent.start();
    this.#lab.timeline.add({ machine: created.plan.name, stage: "agent back", atMs: Date.now() });
  }

  async #phonedHome({ plan }: Created, deadlineMs = installDeadlineMs): Promise<void> {
    await this.#holdfast.watch.until(plan.uuid, { what: `${plan.name} phones home`, deadlineMs }, hasPhonedHome);
  }

  /** Installed once, and reachable with the key that was given. */
  async prove(created: readonly Created[]): Promise<void> {
    await this.#checks.stage("each machine was installed exactly once", async () => {
      for (const { plan } of created) {
        const explained = await this.#holdfast.api.progress.explain({ uuid: plan.uuid });
        if (explained.installations !== 1)
          throw new Error(`${plan.name}: ${explained.installations} installations under epoch ${explained.epoch}`);
      }
    });
    await this.#checks.stage(
      "the given key logs in by ssh, and hostname and kernel are the installed ones",
      async () => {
        await Promise.all(created.map((c) => this.#login(c)));
      },
    );
  }

  async #login({ plan, hostname }: Created): Promise<void> {
    const address = this.#holdfast.watch.get(plan.uuid)?.machine.allocation?.networks[0]?.ips[0];
    if (address === undefined) throw new Error(`${plan.name} has no address`);
    const leave = `echo "${this.#secret}" > secret.txt && sync`;
    const answer = await onServer(this.#key, address, `hostname && uname -a && ${leave}`);
    const [host, kernel = ""] = answer.trim().split("\n");
    this.#lab.timeline.add({ machine: plan.name, stage: "ssh login", atMs: Date.now() });
    this.#lab.print(`           ${plan.name} at ${address}: ${kernel}`);
    if (host !== hostname) throw new Error(`${plan.name} calls itself ${host} and not ${hostname}`);
    if (!(await diskHolds(diskOf(plan), Buffer.from(this.#secret))))
      throw new Error(`${plan.name}: what was written by ssh is not on the disk of the lab`);
  }

  async deleteAll(created: readonly Created[]): Promise<void> {
    const deletedMs = Date.now();
    await this.#checks.stage("the machines are deleted through the public API", async () => {
      for (const { plan } of created) {
        await this.#holdfast.api.machines.delete({ uuid: plan.uuid, project: this.#holdfast.seeded.project });
        this.#lab.timeline.add({ machine: plan.name, stage: "deleted", atMs: Date.now() });
      }
    });
    await this.#checks.stage("they are wiped and wait again", async () => {
      const want = { what: "waiting again", deadlineMs: bootDeadlineMs };
      const waits = created.map(({ plan }) =>
        this.#holdfast.watch.until(
          plan.uuid,
          want,
          (seen) => isWaiting(seen) && eventTimeMs(seen.machine, Event.WAITING) > deletedMs,
        ),
      );
      await Promise.all(waits);
    });
    await this.#checks.stage("nothing of the former tenant is left on their disks", async () => {
      for (const { plan } of created) {
        if (await hasPartitionTable(diskOf(plan))) throw new Error(`${plan.name} still has a partition table`);
        if (await diskHolds(diskOf(plan), Buffer.from(this.#secret)))
          throw new Error(`${plan.name} still holds what the tenant wrote`);
      }
    });
  }
}

function eventTimeMs(machine: Parameters<typeof eventsOf>[0], type: Event): number {
  const time = eventsOf(machine).findLast((e) => e.event === type)?.time;
  return time ? Number(time.seconds) * 1000 + time.nanos / 1e6 : 0;
}
