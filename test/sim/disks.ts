// Invariants 1, 2, 8 and 20: what may be done to the disks of servers.
import { kinds } from "#central/store/kinds.ts";
import { reinstallProgress } from "#domain/machine/reinstall.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { GivenAway } from "./given.ts";
import type { Judge } from "./judge.ts";
import type { StoreCopy } from "./seen.ts";
import type { SimServer } from "./server.ts";

export class Disks {
  readonly #judge: Judge;
  readonly #given: GivenAway;
  /** Epoch that a machine worked for when the store forgot it, by uuid: nobody has given it back since. */
  readonly #forgotten = new Map<string, bigint>();
  /** Epoch of a disk whose tenant had given it back when the store forgot that, by uuid. */
  readonly #givenBack = new Map<string, bigint>();
  /** Epoch whose orders to reinstall the store has forgotten, by uuid. */
  readonly #ordersForgotten = new Map<string, bigint>();
  /** Times that a machine was installed, by uuid, and under it by epoch and number of the reinstallation. */
  readonly #installs = new Map<string, Map<string, number>>();

  constructor(judge: Judge, given: GivenAway) {
    this.#judge = judge;
    this.#given = given;
  }

  #desired(uuid: string): MachineDesired | undefined {
    return this.#judge.seen.truth.get(kinds.machineDesired, uuid)?.value;
  }

  /** To be called right before central's store becomes an older copy of itself. */
  onStoreRestore(copy: StoreCopy): void {
    for (const server of this.#judge.seen.servers) {
      const { uuid } = server;
      const { epoch } = server.disk;
      const desired = this.#desired(uuid);
      const copied = copy.machine(uuid);
      if (desired?.reinstall && copied?.epoch === desired.epoch && !copied.reinstall)
        this.#ordersForgotten.set(uuid, desired.epoch);
      // What had been released since the backup is its tenant's again, and what was ordered is ordered under the same number.
      if (copied?.epoch !== desired?.epoch || copied?.reinstall?.number !== desired?.reinstall?.number)
        this.#installs.delete(uuid);
      const isForgotten = this.#forgotten.get(uuid) === epoch;
      const isInUse = isForgotten || (desired?.allocation !== undefined && desired.epoch === epoch);
      if (!isInUse) this.#givenBack.set(uuid, epoch);
      // What an older backup did not have, this one may have; a system that was never in use is nobody's yet.
      else if (copied?.epoch === epoch) this.#forgotten.delete(uuid);
      else if (server.data.epoch === epoch && this.#isRemembered(server)) this.#forgotten.set(uuid, epoch);
    }
  }

  /** Whether anybody knows that the system on the disk was installed: an agent may have lost its disk before it told. */
  #isRemembered({ uuid, disk: { epoch } }: SimServer): boolean {
    const { truth, observed } = this.#judge.seen;
    const told = truth.get(kinds.machineObserved, uuid)?.value;
    const own = observed(told?.partition ?? "", uuid);
    return told?.installedEpoch === epoch || own?.installedEpoch === epoch;
  }

  /** An agent's disk became an older copy of itself: an installation whose success nobody had reported may be repeated. */
  onDiskSetBack(partition: string): void {
    for (const [uuid, counts] of this.#installs) {
      const desired = this.#desired(uuid);
      const told = this.#judge.seen.truth.get(kinds.machineObserved, uuid)?.value;
      if (desired?.partition !== partition) continue;
      const isTold = told?.installedEpoch === desired.epoch;
      const installed = isTold ? reinstallProgress(desired, told).installed : -1;
      for (const key of counts.keys()) {
        const [epoch, number] = key.split(" ");
        if (epoch === `${desired.epoch}` && Number(number) > installed) counts.delete(key);
      }
    }
  }

  onWipe({ uuid, plan, disk: { epoch } }: SimServer): void {
    const { seen, fail, checked } = this.#judge;
    checked();
    if (epoch !== 0n && this.#forgotten.get(uuid) === epoch)
      fail(1, `${plan.name} works for epoch ${epoch}, which a restored central has forgotten`);
    const desired = this.#desired(uuid);
    // Whatever its agent has forgotten: only a word of central's that is later ends what a partition has given away.
    const isGiven = epoch !== 0n && this.#given.epochOf(uuid) === epoch && (desired?.epoch ?? 0n) < epoch;
    if (isGiven && this.#installs.get(uuid)?.has(`${epoch} 0`))
      fail(1, `${plan.name} was given away by its partition under epoch ${epoch}`);
    if (epoch === 0n || !desired?.allocation || desired.epoch !== epoch || this.#isGivenBack(uuid, epoch)) return;
    // One that never reported its end is installed again; one that did is its tenant's.
    const observed = seen.truth.get(kinds.machineObserved, uuid)?.value;
    if (observed?.phonedHomeEpoch === epoch) fail(1, `${plan.name} is in use under epoch ${epoch}`);
  }

  /** Central has been told that a system was installed: from then on what it wrote is kept, until its tenant gives it back. */
  onWipeData({ uuid, plan, data: { epoch, allocation } }: SimServer): void {
    this.#judge.checked();
    if (epoch === 0n || this.#isGivenBack(uuid, epoch)) return;
    const desired = this.#desired(uuid);
    const lives = desired?.allocation?.uuid === allocation && desired.epoch === epoch;
    const observed = this.#judge.seen.truth.get(kinds.machineObserved, uuid)?.value;
    if (lives && observed?.installedEpoch === epoch)
      this.#judge.fail(20, `${plan.name} has data of epoch ${epoch}, which goes on`);
  }

  /** Also to the partition alone, which central has yet to hear. */
  #isGivenBack(uuid: string, epoch: bigint): boolean {
    if (this.#givenBack.get(uuid) === epoch) return true;
    return this.#judge.seen.locals().some((one) => one.uuid === uuid && one.epoch > epoch && !one.allocation);
  }

  /** An installer makes room for another system of the same tenant. */
  onOverwrite({ uuid, plan, disk, data }: SimServer): void {
    this.#judge.checked();
    const desired = this.#desired(uuid);
    const isForgotten = this.#ordersForgotten.get(uuid) === data.epoch;
    if (desired?.allocation && desired.epoch === data.epoch && !desired.reinstall && !isForgotten)
      this.#judge.fail(20, `${plan.name} is overwritten under epoch ${disk.epoch}, and nobody has ordered that`);
  }

  onInstall({ uuid, plan, disk }: SimServer, epoch: bigint): void {
    this.#judge.checked();
    // What is installed again under an epoch whose release the store has forgotten is a disk of that tenant like any other.
    if (epoch === disk.epoch) this.#givenBack.delete(uuid);
    if (disk.epoch !== 0n && disk.epoch !== epoch)
      this.#judge.fail(2, `${plan.name} gets epoch ${epoch} over what epoch ${disk.epoch} has left`);
  }

  /** @param reinstall number of the order that it carried out; 0: it was the first */
  onInstalled(uuid: string, epoch: string, reinstall: number): void {
    const { seen, fail, checked } = this.#judge;
    checked();
    const counts = this.#installs.get(uuid) ?? new Map<string, number>();
    this.#installs.set(uuid, counts);
    const key = `${epoch} ${reinstall}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    const server = seen.servers.find((s) => s.uuid === uuid);
    if (server && `${server.disk.epoch}` !== epoch)
      fail(8, `${server.plan.name} counts as installed under epoch ${epoch}, and its disk is of ${server.disk.epoch}`);
    if (count > 1) fail(8, `machine ${uuid} was installed ${count} times under epoch ${epoch}, order ${reinstall}`);
  }
}
