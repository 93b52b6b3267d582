// Invariant 4: a port is in a tenant's network only while its machine is allocated to that tenant.
import { vrfOfNetwork } from "#agent/switch/switch.ts";
import { kinds } from "#central/store/kinds.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { GivenAway } from "./given.ts";
import type { Judge } from "./judge.ts";
import type { StoreCopy } from "./seen.ts";
import type { SimServer } from "./server.ts";

export class Ports {
  readonly #judge: Judge;
  readonly #given: GivenAway;
  /** Epoch of an allocation that the store has forgotten, by uuid: it goes on until somebody gives it back. */
  readonly #orphans = new Map<string, bigint>();
  /** Machines whose ports are where the store that was set back knows nothing of, until they are home. */
  readonly #away = new Set<string>();
  /** Machines that are allocated, or not yet given back. */
  readonly #held = new Set<string>();
  /** Epoch of a machine that was given back on a copy's word, by uuid: the agent itself learns of it only from central. */
  readonly #freedByCopy = new Map<string, bigint>();
  /** VRFs of an allocation, by its uuid: while it is being released, only that is left of it. */
  readonly #vrfs = new Map<string, ReadonlySet<number>>();
  /** Epoch under which its partition had a machine by its own word, by uuid. */
  readonly #localEpochs = new Map<string, bigint>();
  /** Network of each port when it was looked at last, by the machine's uuid. */
  readonly #networks = new Map<string, string>();

  constructor(judge: Judge, given: GivenAway) {
    this.#judge = judge;
    this.#given = given;
  }

  #desired(uuid: string): MachineDesired | undefined {
    return this.#judge.seen.truth.get(kinds.machineDesired, uuid)?.value;
  }

  /** To be called right before central's store becomes an older copy of itself. */
  onStoreRestore({ machine }: StoreCopy): void {
    const { servers, networkOf } = this.#judge.seen;
    for (const server of servers) {
      const { uuid } = server;
      const desired = this.#desired(uuid);
      const copied = machine(uuid);
      if (networkOf(server) !== "prov" && holds(copied) !== holds(desired)) this.#away.add(uuid);
      // Also of one that is being released: its agent may not have heard of that, and puts the port there once more.
      if (holds(desired) !== undefined && desired && copied?.epoch !== desired.epoch)
        this.#orphans.set(uuid, desired.epoch);
    }
  }

  /** After every event. */
  check(hasStoreChanged: boolean): void {
    const { servers, networkOf } = this.#judge.seen;
    for (const server of servers) {
      const network = networkOf(server);
      if (!hasStoreChanged && this.#networks.get(server.uuid) === network) continue;
      this.#judge.checked();
      this.#networks.set(server.uuid, network);
      this.#note(server.uuid);
      if (network === "prov") this.#away.delete(server.uuid);
      else this.#checkAway(server, network);
    }
  }

  #note(uuid: string): void {
    const desired = this.#desired(uuid);
    if (desired?.allocation) this.#noteVrfs(desired.allocation);
    if (desired?.allocation || desired?.release) this.#held.add(uuid);
    else if (this.#held.delete(uuid) && desired && this.#given.isCopyIn(desired.partition))
      this.#freedByCopy.set(uuid, desired.epoch);
  }

  #noteVrfs({ uuid, networks }: MachineAllocation): void {
    if (this.#vrfs.has(uuid)) return;
    this.#vrfs.set(uuid, new Set(networks.flatMap(({ vrf }) => (vrf === undefined ? [] : [Number(vrf)]))));
  }

  #checkAway({ uuid, plan }: SimServer, network: string): void {
    const desired = this.#desired(uuid);
    // What the store has forgotten is left where it is, until somebody looks.
    if (!desired || this.#away.has(uuid) || desired.epoch <= (this.#orphans.get(uuid) ?? -1n)) return;
    if (this.#freedByCopy.get(uuid) === desired.epoch) return;
    const holder = this.#holder(desired);
    if (holder === "unknown") return;
    if (holder === undefined) this.#judge.fail(4, `${plan.name} is free and its port is in ${network}`);
    else if (!this.#vrfs.get(holder)?.has(vrfOfNetwork(network) ?? -1))
      this.#judge.fail(4, `${plan.name} is of allocation ${holder}, and its port is in ${network}`);
  }

  /** Allocation that has the machine, or has not yet given it back; "unknown" where only its partition can tell, and is not there. */
  #holder(desired: MachineDesired): string | undefined {
    const { uuid, epoch, delegated } = desired;
    const local = this.#judge.seen.locals().find((one) => one.uuid === uuid);
    if (local && local.epoch > epoch) {
      this.#localEpochs.set(uuid, local.epoch);
      if (local.allocation) this.#noteVrfs(local.allocation);
      return known(holds(local), this.#vrfs);
    }
    // The partition's word was lost with its disk before central had it.
    if (epoch < (this.#localEpochs.get(uuid) ?? -1n)) return "unknown";
    // Its partition may have given it away, also by a delegation that the store has forgotten: then central may come to that epoch by itself.
    const given = this.#given.epochOf(uuid) ?? -1n;
    if (delegated || epoch < given || (epoch === given && this.#given.isUndelegated(`${uuid} ${given}`)))
      return "unknown";
    return known(holds(desired), this.#vrfs);
  }
}

const holds = (of: Pick<MachineDesired, "allocation" | "release"> | undefined): string | undefined =>
  of?.allocation?.uuid ?? of?.release?.allocation;

/** One that was over before anybody looked says nothing. */
const known = (allocation: string | undefined, vrfs: ReadonlyMap<string, unknown>): string | undefined =>
  allocation === undefined || vrfs.has(allocation) ? allocation : "unknown";
