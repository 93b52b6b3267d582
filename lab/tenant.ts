import { randomBytes } from "node:crypto";
import { MachineProvisioningEventType as Event, MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { diskHolds, hasPartitionTable } from "./disk.ts";
import type { Holdfast } from "./holdfast.ts";
import type { Lab } from "./lab.ts";
import type { MachinePlan } from "./plan.ts";
import { dataDiskOf, diskOf } from "./qemu.ts";
import { makeSshKey, onServer, type SshKey } from "./ssh.ts";
import { eventsOf, hasPhonedHome, isWaiting, type Seen } from "./watch.ts";

/** One machine of the tenant's, from its creation on. */
export interface Created {
  readonly plan: MachinePlan;
  readonly hostname: string;
  readonly createdMs: number;
}

// Three times what a quiet machine of two cores needs for two servers at once.
export const bootDeadlineMs = 150_000;
export const installDeadlineMs = 180_000;
export const reportDeadlineMs = 60_000;

/** Whoever uses the lab's machines, through the public API and ssh. */
export class Tenant {
  readonly #lab: Lab;
  readonly #holdfast: Holdfast;
  readonly #key: SshKey;
  /** In all that the tenant writes. */
  readonly #mark = `of the former tenant ${randomBytes(16).toString("hex")}`;
  readonly #secret = `secret ${this.#mark}`;
  readonly #data = `data ${this.#mark}`;

  private constructor(lab: Lab, holdfast: Holdfast, key: SshKey) {
    this.#lab = lab;
    this.#holdfast = holdfast;
    this.#key = key;
  }

  static async arrives(lab: Lab, holdfast: Holdfast): Promise<Tenant> {
    return new Tenant(lab, holdfast, await makeSshKey(lab.plan.folder));
  }

  async create(name: string): Promise<Created> {
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

  /** Resolves when its installer has begun. */
  async installing({ plan, createdMs }: Created): Promise<void> {
    await this.#lab.timeline.until(plan.name, "installing", createdMs, bootDeadlineMs);
  }

  /** Resolves when central has heard of it. */
  async phonedHome({ plan }: Created, deadlineMs = installDeadlineMs): Promise<Seen> {
    return await this.#holdfast.watch.until(plan.uuid, { what: `${plan.name} phones home`, deadlineMs }, hasPhonedHome);
  }

  async installedOnce({ plan }: Created): Promise<void> {
    const explained = await this.#holdfast.api.progress.explain({ uuid: plan.uuid });
    if (explained.installations !== 1)
      throw new Error(`${plan.name}: ${explained.installations} installations under epoch ${explained.epoch}`);
  }

  /** Logs in with the key alone, and leaves a secret on the disk. */
  async login({ plan, hostname }: Created): Promise<void> {
    const address = this.#addressOf(plan);
    const leave = `echo "${this.#secret}" > secret.txt && sync`;
    const answer = await onServer(this.#key, address, `hostname && uname -a && ${leave}`);
    const [host, kernel = ""] = answer.trim().split("\n");
    this.#lab.timeline.add({ machine: plan.name, stage: "ssh login", atMs: Date.now() });
    this.#lab.print(`           ${plan.name} at ${address}: ${kernel}`);
    if (host !== hostname) throw new Error(`${plan.name} calls itself ${host} and not ${hostname}`);
    if (!(await diskHolds(diskOf(plan), Buffer.from(this.#secret))))
      throw new Error(`${plan.name}: what was written by ssh is not on the disk of the lab`);
  }

  #addressOf(plan: MachinePlan): string {
    const address = this.#holdfast.watch.get(plan.uuid)?.machine.allocation?.networks[0]?.ips[0];
    if (address === undefined) throw new Error(`${plan.name} has no address`);
    return address;
  }

  /** Writes to the second disk; resolves when it is on the lab's disk. */
  async storeData({ plan }: Created): Promise<void> {
    await this.#asRoot(plan, `mountpoint -q /data && echo "${this.#data}" > /data/kept.txt && sync`);
    if (!(await diskHolds(dataDiskOf(plan), Buffer.from(this.#data))))
      throw new Error(`${plan.name}: what was written to /data is not on the lab's second disk`);
  }

  /** Puts the system on anew; resolves when that has phoned home. */
  async reinstall({ plan }: Created): Promise<void> {
    const orderedMs = Date.now();
    const { project } = this.#holdfast.seeded;
    const { overwrittenDisks, keptDisks } = await this.#holdfast.api.progress.reinstall({ uuid: plan.uuid, project });
    if (`${overwrittenDisks} ${keptDisks}` !== "/dev/vda /dev/vdb")
      throw new Error(`${plan.name}: ${overwrittenDisks} are overwritten and ${keptDisks} kept`);
    this.#lab.timeline.add({ machine: plan.name, stage: "reinstallation ordered", atMs: orderedMs });
    const want = { what: `${plan.name} phones home once more`, deadlineMs: bootDeadlineMs + installDeadlineMs };
    await this.#holdfast.watch.until(
      plan.uuid,
      want,
      (seen) => hasPhonedHome(seen) && eventTimeMs(seen, Event.PHONED_HOME) > orderedMs,
    );
  }

  /** The system is another one, and the second disk holds what it held. */
  async keptData({ plan, hostname }: Created): Promise<void> {
    const answer = await this.#asRoot(plan, "hostname; cat /data/kept.txt; test ! -e ~metal/secret.txt && echo gone");
    const wanted = [hostname, this.#data, "gone"].join("\n");
    if (answer.trim() !== wanted) throw new Error(`${plan.name} says after its reinstallation: ${answer.trim()}`);
  }

  #asRoot(plan: MachinePlan, command: string): Promise<string> {
    return onServer(this.#key, this.#addressOf(plan), command, "root");
  }

  /** @returns when it was ordered */
  async delete({ plan }: Created): Promise<number> {
    const deletedMs = Date.now();
    await this.#holdfast.api.machines.delete({ uuid: plan.uuid, project: this.#holdfast.seeded.project });
    this.#lab.timeline.add({ machine: plan.name, stage: "deleted", atMs: Date.now() });
    return deletedMs;
  }

  async waitsAgain({ plan }: Created, deletedMs: number, deadlineMs = bootDeadlineMs): Promise<Seen> {
    const want = { what: `${plan.name} waits again`, deadlineMs };
    return await this.#holdfast.watch.until(
      plan.uuid,
      want,
      (seen) => isWaiting(seen) && eventTimeMs(seen, Event.WAITING) > deletedMs,
    );
  }

  async nothingLeft({ plan }: Created): Promise<void> {
    for (const disk of [diskOf(plan), dataDiskOf(plan)]) {
      if (await hasPartitionTable(disk)) throw new Error(`${plan.name} still has a partition table`);
      if (await diskHolds(disk, Buffer.from(this.#mark)))
        throw new Error(`${plan.name} still holds what the tenant wrote`);
    }
  }
}

/** When the latest event of a kind happened; 0: never. */
export function eventTimeMs({ machine }: Seen, type: Event): number {
  const time = eventsOf(machine).findLast((e) => e.event === type)?.time;
  return time ? Number(time.seconds) * 1000 + time.nanos / 1e6 : 0;
}
