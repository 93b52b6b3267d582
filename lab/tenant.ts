import { randomBytes } from "node:crypto";
import { OptimisticLockingStrategy } from "#gen/metalstack/api/v2/common_pb.ts";
import { MachineProvisioningEventType as Event, MachineAllocationType } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Api } from "./api.ts";
import { diskHolds, hasPartitionTable } from "./disk.ts";
import type { Holdfast } from "./holdfast.ts";
import type { Lab } from "./lab.ts";
import type { MachinePlan } from "./plan.ts";
import { dataDiskOf, diskOf } from "./qemu.ts";
import { letsIn, letsInAtLast, makeSshKey, onServer, type SshKey } from "./ssh.ts";
import { comesTrue } from "./waiting.ts";
import { eventsOf, hasPhonedHome, isWaiting, type Seen } from "./watch.ts";

/** One machine of the tenant's, from its creation on. */
export interface Created {
  readonly plan: MachinePlan;
  readonly hostname: string;
  readonly address: string;
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

  /**
   * @param from whoever gives machines away: central, or the partition's agent
   * @param network the lab's own unless given
   */
  async create(
    name: string,
    { machines }: Pick<Api, "machines"> = this.#holdfast.api,
    network = this.#holdfast.seeded.network,
  ): Promise<Created> {
    const { project, partition, size, image } = this.#holdfast.seeded;
    const createdMs = Date.now();
    const { machine } = await machines.create({
      project,
      partition,
      size,
      image,
      name,
      hostname: `lab-${name}`,
      sshPublicKeys: [this.#key.publicKey],
      userdata: Buffer.from(userdataOf(name)).toString("base64"),
      networks: [{ network, ips: [] }],
      allocationType: MachineAllocationType.MACHINE,
    });
    const plan = this.#lab.plan.machines.find((m) => m.uuid === machine?.uuid);
    if (plan === undefined) throw new Error(`the API gave machine ${machine?.uuid}, which the lab does not have`);
    const address = machine?.allocation?.networks[0]?.ips[0];
    if (address === undefined) throw new Error(`the API gave machine ${plan.name} without an address`);
    this.#lab.timeline.add({ machine: plan.name, stage: `created as ${name}`, atMs: createdMs });
    return { plan, hostname: `lab-${name}`, address, createdMs };
  }

  /** Resolves when its installer has begun. */
  async installing({ plan, createdMs }: Created): Promise<void> {
    await this.#lab.timeline.until(plan.name, "installing", createdMs, bootDeadlineMs);
  }

  /** Resolves when central has heard of it. */
  async phonedHome({ plan }: Created, deadlineMs = installDeadlineMs): Promise<Seen> {
    return await this.#holdfast.watch.until(plan.uuid, { what: `${plan.name} phones home`, deadlineMs }, hasPhonedHome);
  }

  /** Resolves when central and its agent are connected: before, nothing is given away there. */
  async connected({ plan }: Created): Promise<void> {
    const { api } = this.#holdfast;
    const look = async () => {
      if (!(await api.progress.explain({ uuid: plan.uuid })).linkUp) throw new Error("the link is down");
    };
    await comesTrue("the agent is connected", reportDeadlineMs, look, { everyMs: 1_000, signal: this.#lab.signal });
  }

  async installedOnce({ plan }: Created): Promise<void> {
    const explained = await this.#holdfast.api.progress.explain({ uuid: plan.uuid });
    if (explained.installations !== 1)
      throw new Error(`${plan.name}: ${explained.installations} installations under epoch ${explained.epoch}`);
  }

  /** Logs in with the key alone, and leaves a secret on the disk. */
  async login({ plan, hostname, address }: Created): Promise<void> {
    const leave = `echo "${this.#secret}" > secret.txt && sync`;
    const answer = await onServer(this.#key, address, `hostname && uname -a && ${leave}`);
    const [host, kernel = ""] = answer.trim().split("\n");
    this.#lab.timeline.add({ machine: plan.name, stage: "ssh login", atMs: Date.now() });
    this.#lab.print(`           ${plan.name} at ${address}: ${kernel}`);
    if (host !== hostname) throw new Error(`${plan.name} calls itself ${host} and not ${hostname}`);
    if (!(await diskHolds(diskOf(plan), Buffer.from(this.#secret))))
      throw new Error(`${plan.name}: what was written by ssh is not on the disk of the lab`);
  }

  /** Writes to the second disk; resolves when it is on the lab's disk. */
  async storeData(created: Created): Promise<void> {
    const { plan } = created;
    await this.#asRoot(created, `mountpoint -q /data && echo "${this.#data}" > /data/kept.txt && sync`);
    if (!(await diskHolds(dataDiskOf(plan), Buffer.from(this.#data))))
      throw new Error(`${plan.name}: what was written to /data is not on the lab's second disk`);
  }

  /** Orders another system in the place of the one that runs. @returns when it was ordered */
  async orderReinstall({ plan }: Created): Promise<number> {
    const orderedMs = Date.now();
    const { project } = this.#holdfast.seeded;
    const { overwrittenDisks, keptDisks } = await this.#holdfast.api.progress.reinstall({ uuid: plan.uuid, project });
    if (`${overwrittenDisks} ${keptDisks}` !== "/dev/vda /dev/vdb")
      throw new Error(`${plan.name}: ${overwrittenDisks} are overwritten and ${keptDisks} kept`);
    this.#lab.timeline.add({ machine: plan.name, stage: "reinstallation ordered", atMs: orderedMs });
    return orderedMs;
  }

  /** Resolves when central has heard that the new system is there. */
  async reinstalled(
    { plan }: Created,
    orderedMs: number,
    deadlineMs = bootDeadlineMs + installDeadlineMs,
  ): Promise<Seen> {
    return await this.#holdfast.watch.until(
      plan.uuid,
      { what: `${plan.name} phones home once more`, deadlineMs },
      (seen) => hasPhonedHome(seen) && eventTimeMs(seen, Event.PHONED_HOME) > orderedMs,
    );
  }

  /** Resolves when central has heard that the agent has begun with it. */
  async reinstalling({ plan }: Created, orderedMs: number): Promise<void> {
    await this.#holdfast.watch.until(
      plan.uuid,
      { what: `${plan.name} is started anew for its reinstallation`, deadlineMs: reportDeadlineMs },
      (seen) => eventTimeMs(seen, Event.PLANNED_REBOOT) >= orderedMs,
    );
  }

  /** Calls it off; resolves when the system of before is up again. */
  async abortReinstall(created: Created): Promise<void> {
    const { plan } = created;
    const abortedMs = Date.now();
    await this.#holdfast.api.progress.abortReinstall({ uuid: plan.uuid, project: this.#holdfast.seeded.project });
    this.#lab.timeline.add({ machine: plan.name, stage: "reinstallation called off", atMs: abortedMs });
    await this.#lab.timeline.until(plan.name, "os up", abortedMs, bootDeadlineMs);
    const answer = await this.#asRoot(created, "cat ~metal/secret.txt");
    if (answer.trim() !== this.#secret) throw new Error(`${plan.name} has not the system of before: ${answer.trim()}`);
  }

  /** Lets in another key in the place of the one that the machine was created with. */
  async changeKey({ plan }: Created): Promise<SshKey> {
    const key = await makeSshKey(this.#lab.plan.folder, "ssh-key-changed");
    const { project } = this.#holdfast.seeded;
    await this.#holdfast.api.machines.update({
      uuid: plan.uuid,
      project,
      sshPublicKeys: [key.publicKey],
      updateMeta: { lockingStrategy: OptimisticLockingStrategy.SERVER },
    });
    return key;
  }

  /** Resolves when the running machine lets the new key in, and the former one not any more. */
  async hasChangedKey({ plan, address }: Created, key: SshKey): Promise<void> {
    await letsInAtLast(key, address);
    if (await letsIn(this.#key, address)) throw new Error(`${plan.name} still lets in the key that was taken away`);
  }

  async hasUserdata(created: Created, name: string): Promise<void> {
    const found = await this.#asRoot(created, "cat /etc/holdfast/userdata");
    if (found !== userdataOf(name)) throw new Error(`${created.plan.name} has the userdata ${found}`);
  }

  /** The system is another one, and the second disk holds what it held. */
  async keptData(created: Created): Promise<void> {
    const { plan, hostname } = created;
    const answer = await this.#asRoot(
      created,
      "hostname; cat /data/kept.txt; test ! -e ~metal/secret.txt && echo gone",
    );
    const wanted = [hostname, this.#data, "gone"].join("\n");
    if (answer.trim() !== wanted) throw new Error(`${plan.name} says after its reinstallation: ${answer.trim()}`);
  }

  #asRoot({ address }: Created, command: string): Promise<string> {
    return onServer(this.#key, address, command, "root");
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

const userdataOf = (name: string): string => `#cloud-config\n# of ${name}\n`;

/** When the latest event of a kind happened; 0: never. */
export function eventTimeMs({ machine }: Seen, type: Event): number {
  const time = eventsOf(machine).findLast((e) => e.event === type)?.time;
  return time ? Number(time.seconds) * 1000 + time.nanos / 1e6 : 0;
}
