// What must hold after every event, whatever went wrong. The numbers are those of the research's list.
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { kinds } from "#central/store/kinds.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import { heldByNetworks, madeBeyond } from "./networks-made.ts";
import type { Seen } from "./seen.ts";
import type { SimServer } from "./server.ts";
import { type Sight, Sightings } from "./sightings.ts";

/** What was set back remembers an older world, by no fault of its own. */
export interface Excuses {
  agentDiskRestored: boolean;
  storeRestored: boolean;
}

export const invariants = {
  1: "a disk is wiped only when its tenant has given it back",
  2: "nobody gets a machine on whose disk another's data is",
  3: "no machine has two owners, no address two machines, no VRF and no prefix two networks",
  4: "an address is given back only when its machine's port is out of the tenant's network",
  6: "what an agent has applied, and what central has taken, never goes back",
  8: "a machine is installed once for one allocation, and what counts as installed is on its disk",
  9: "nothing is done under an epoch that is over, or twice under one id",
  10: "status is not newer than what was seen",
  11: "an agent has one session with a BMC, and does not flood it",
  12: "no secret is said",
  13: "who comes back sends no burst, and carries out no order whose time is over",
  14: "no more is handed out than there is to hand out",
  15: "nothing is done without end",
  16: "every machine can be given back, whatever it has been through",
  17: "one agent acts for a partition",
  18: "what was acknowledged is on the disk",
  19: "an agent is let in once by a join token, and speaks by a certificate that is good",
  20: "a disk that is kept is never wiped while its allocation lives",
} as const;

const effectsAnHourMax = 120;
const minuteMs = 60_000;
/** Of one machine, in the first minute after the link was up again. */
const effectsOfReturnMax = 20;
/** Of one agent to one BMC. */
const requestsAMinuteMax = 60;
/** What the agents' signed tokens hold: seen anywhere that people read, a secret was said. */
const canary = /canary-[0-9a-f]{4}|Y2FuYXJ5/;

/** What people order of a BMC is carried out by whoever has the order; it is marked as done under its id. */
const harmless: readonly string[] = ["refuse-order", "carry-out-order"];

type Number = keyof typeof invariants;

export class Invariants {
  readonly #seen: Seen;
  readonly sightings = new Sightings();
  readonly excuses: Excuses = { agentDiskRestored: false, storeRestored: false };
  /** Epoch that a machine worked for when the store forgot it, by uuid: nobody has given it back since. */
  readonly #forgotten = new Map<string, bigint>();
  /** Epoch of an allocation that the store has forgotten, by uuid: it goes on until somebody gives it back. */
  readonly #orphans = new Map<string, bigint>();
  /** Epoch of a disk whose tenant had given it back when the store forgot that, by uuid. */
  readonly #givenBack = new Map<string, bigint>();
  /** Machines whose ports have been away from home since before the store was set back. */
  readonly #away = new Set<string>();
  /** Partitions where a copy of the agent was let in, and the agent itself not since. */
  readonly #copyIn = new Set<string>();
  /** Machines that are allocated, or not yet given back. */
  readonly #held = new Set<string>();
  /** Epoch of a machine that was given back on a copy's word, by uuid: the agent itself learns of it only from central. */
  readonly #freedByCopy = new Map<string, bigint>();
  readonly #installs = new Map<string, number>();
  readonly #leases = new Map<string, { readonly server: string; readonly untilMs: number }>();
  readonly #effects = new Map<string, number[]>();
  /** Epoch under which its partition gave a machine away, by uuid, until that is taken back. */
  readonly #given = new Map<string, bigint>();
  #checkedRevision = -1n;
  readonly #taken = new Map<string, { readonly outbox: string; readonly sequence: bigint }>();
  /** When the agent's link was up last, by partition (virtual milliseconds), and what was done since to each machine, by uuid. */
  readonly #returns = new Map<string, { readonly atMs: number; readonly effects: Map<string, number> }>();
  /** Requests of the minute that began then, by BMC and life of an agent. */
  readonly #requests = new Map<string, { readonly sinceMs: number; count: number }>();
  /** What was done under which id. */
  readonly #operations = new Map<string, string>();
  readonly #appliedAt = new Map<string, { readonly history: string; readonly revision: bigint }>();
  checks = 0;
  /** The first thing that happened and must never happen; the run is over then. */
  violation: string | undefined;
  /** Told when the store becomes an older copy of itself. */
  onRestored: () => void = () => {};

  constructor(seen: Seen) {
    this.#seen = seen;
  }

  /** Kept, not thrown: it is found in the middle of code that would take it for a trouble of its own. */
  #fail(number: Number, what: string): void {
    this.violation ??= `invariant ${number} (${invariants[number]}): ${what}`;
  }

  #desired(server: SimServer): MachineDesired | undefined {
    return this.#seen.truth.get(kinds.machineDesired, server.uuid)?.value;
  }

  /** To be called right before central's store becomes an older copy of itself. */
  onStoreRestore(copied: (uuid: string) => bigint | undefined): void {
    this.excuses.storeRestored = true;
    this.onRestored();
    this.#taken.clear();
    for (const server of this.#seen.servers) {
      if (this.#seen.networkOf(server) !== "prov") this.#away.add(server.uuid);
      const desired = this.#desired(server);
      const { epoch } = server.disk;
      if (desired?.allocation && copied(server.uuid) !== desired.epoch) this.#orphans.set(server.uuid, desired.epoch);
      const isForgotten = this.#forgotten.get(server.uuid) === epoch;
      const isInUse = isForgotten || (desired?.allocation !== undefined && desired.epoch === epoch);
      if (!isInUse) this.#givenBack.set(server.uuid, epoch);
      // What an older backup did not have, this one may have; a system that was never in use is nobody's yet.
      else if (copied(server.uuid) === epoch) this.#forgotten.delete(server.uuid);
      else if (server.data.epoch === epoch) this.#forgotten.set(server.uuid, epoch);
    }
  }

  onWipe(server: SimServer): void {
    this.checks++;
    const { epoch } = server.disk;
    if (epoch !== 0n && this.#forgotten.get(server.uuid) === epoch)
      this.#fail(1, `${server.plan.name} works for epoch ${epoch}, which a restored central has forgotten`);
    const desired = this.#desired(server);
    // Whatever its agent has forgotten: only a word of central's that is later ends what a partition has given away.
    const isGiven = epoch !== 0n && this.#given.get(server.uuid) === epoch && (desired?.epoch ?? 0n) < epoch;
    if (isGiven && this.#installs.has(`${server.uuid} ${epoch} 0`) && !this.excuses.storeRestored)
      this.#fail(1, `${server.plan.name} was given away by its partition under epoch ${epoch}`);
    if (epoch === 0n || !desired?.allocation || desired.epoch !== epoch || this.#isGivenBack(server.uuid, epoch))
      return;
    // One that never reported its end is installed again; one that did is its tenant's.
    const observed = this.#seen.truth.get(kinds.machineObserved, server.uuid)?.value;
    if (observed?.phonedHomeEpoch === epoch) this.#fail(1, `${server.plan.name} is in use under epoch ${epoch}`);
  }

  /** Central has been told that a system was installed: from then on what it wrote is kept, until its tenant gives it back. */
  onWipeData({ uuid, plan, data: { epoch, allocation } }: SimServer): void {
    this.checks++;
    if (epoch === 0n || this.#isGivenBack(uuid, epoch)) return;
    const { truth } = this.#seen;
    const desired = truth.get(kinds.machineDesired, uuid)?.value;
    const lives = desired?.allocation?.uuid === allocation && desired.epoch === epoch;
    if (lives && truth.get(kinds.machineObserved, uuid)?.value.installedEpoch === epoch)
      this.#fail(20, `${plan.name} has data of epoch ${epoch}, which goes on`);
  }

  /** Also to the partition alone, which central has yet to hear. */
  #isGivenBack(uuid: string, epoch: bigint): boolean {
    if (this.#givenBack.get(uuid) === epoch) return true;
    return this.#seen.locals().some((one) => one.uuid === uuid && one.epoch > epoch && !one.allocation);
  }

  /** An installer makes room for another system of the same tenant. */
  onOverwrite({ uuid, plan, disk, data }: SimServer): void {
    this.checks++;
    const desired = this.#seen.truth.get(kinds.machineDesired, uuid)?.value;
    if (desired?.allocation && desired.epoch === data.epoch && !desired.reinstall && !this.excuses.storeRestored)
      this.#fail(20, `${plan.name} is overwritten under epoch ${disk.epoch}, and nobody has ordered that`);
  }

  onInstall(server: SimServer, epoch: bigint): void {
    this.checks++;
    // What is installed again under an epoch whose release the store has forgotten is a disk of that tenant like any other.
    if (epoch === server.disk.epoch) this.#givenBack.delete(server.uuid);
    if (server.disk.epoch !== 0n && server.disk.epoch !== epoch)
      this.#fail(2, `${server.plan.name} gets epoch ${epoch} over what epoch ${server.disk.epoch} has left`);
  }

  /** @param reinstall number of the order that it carried out; 0: it was the first */
  onInstalled(uuid: string, epoch: string, reinstall: number): void {
    const key = `${uuid} ${epoch} ${reinstall}`;
    const count = (this.#installs.get(key) ?? 0) + 1;
    this.#installs.set(key, count);
    this.checks++;
    const server = this.#seen.servers.find((s) => s.uuid === uuid);
    if (server && `${server.disk.epoch}` !== epoch)
      this.#fail(
        8,
        `${server.plan.name} counts as installed under epoch ${epoch}, and its disk is of epoch ${server.disk.epoch}`,
      );
    // What had been released since the backup is its tenant's again.
    if (count > 1 && !this.excuses.agentDiskRestored && !this.excuses.storeRestored)
      this.#fail(8, `machine ${uuid} was installed ${count} times under epoch ${epoch}`);
  }

  /** A partition gives a machine away by itself. */
  onGiven(uuid: string, budget: string, epoch: bigint): void {
    this.checks++;
    this.#given.set(uuid, epoch);
    const { delegated } = this.#seen.truth.get(kinds.machineDesired, uuid)?.value ?? {};
    const known = this.#seen.truth.get(kinds.budget, budget)?.value;
    if (this.excuses.agentDiskRestored || this.excuses.storeRestored || this.#copyIn.size > 0) return;
    if (delegated?.budget !== budget) this.#fail(14, `machine ${uuid} is given away, and is not of budget ${budget}`);
    const given = this.#seen.locals().filter((local) => local.budget === budget).length;
    const granted = (known?.free?.machines.length ?? 0) + (known?.recalled?.machines.length ?? 0);
    if (given > granted) this.#fail(14, `${given} machines are given away of the ${granted} of budget ${budget}`);
  }

  /** A partition makes a network by itself. */
  onNetworkMade(id: string, budget: string): void {
    this.checks++;
    if (this.excuses.agentDiskRestored || this.excuses.storeRestored || this.#copyIn.size > 0) return;
    for (const why of madeBeyond(this.#seen, id, budget)) this.#fail(14, why);
  }

  /** A partition takes back what it gave away by itself. */
  onTakenBack(uuid: string): void {
    this.#given.delete(uuid);
  }

  onLease(partition: string, server: SimServer, address: string, untilMs: number): void {
    this.checks++;
    if (!this.#seen.addresses.includes(address))
      this.#fail(14, `${server.plan.name} got ${address}, which is not the agent's to give`);
    const key = `${partition} ${address}`;
    const other = this.#leases.get(key);
    if (
      other &&
      other.server !== server.plan.name &&
      other.untilMs > this.#seen.nowMs() &&
      !this.excuses.agentDiskRestored
    )
      this.#fail(3, `${address} is ${other.server}'s, and was given to ${server.plan.name}, too`);
    this.#leases.set(key, { server: server.plan.name, untilMs });
  }

  /** A lease was acknowledged. @param isDurable whether the agent would still know it if it died now */
  onAcknowledged(address: string, isDurable: boolean): void {
    this.checks++;
    if (!isDurable) this.#fail(18, `the lease of ${address} is acknowledged and not on the agent's disk`);
  }

  /** An effect begins under its id; an order that is tried again keeps that. */
  onOperation(id: string, what: string, isOrder: boolean): void {
    const before = this.#operations.get(id);
    this.checks++;
    if (before !== undefined && !(isOrder && before === what)) this.#fail(9, `${what} has the id ${id} of ${before}`);
    this.#operations.set(id, what);
  }

  /**
   * An effect on a machine; more of them than an hour has room for are a loop.
   * @param epoch under which it was ordered or decided
   * @param known epoch that the agent knows the machine to be at
   */
  onEffect(uuid: string, effect: string, epoch: string, known: bigint | undefined): void {
    const nowMs = this.#seen.nowMs();
    if (effect !== "refuse-order" && known !== undefined && epoch !== `${known}`)
      this.#fail(9, `${effect} of machine ${uuid} is of epoch ${epoch}, which is at ${known}`);
    const recent = [...(this.#effects.get(uuid) ?? []).filter((atMs) => nowMs - atMs < 3_600_000), nowMs];
    this.#effects.set(uuid, recent);
    this.checks++;
    if (recent.length > effectsAnHourMax) this.#fail(15, `machine ${uuid}: ${recent.length} effects within an hour`);
  }

  /** Central follows an agent of the partition from now on. */
  onLetIn(partition: string, who: "agent" | "copy"): void {
    if (who === "copy") this.#copyIn.add(partition);
    else this.#copyIn.delete(partition);
    if (who === "agent") this.#returns.set(partition, { atMs: this.#seen.nowMs(), effects: new Map() });
  }

  /** An agent begins to do something to a machine. */
  onEffectOf(partition: string, uuid: string): void {
    const back = this.#returns.get(partition);
    if (!back || this.#seen.nowMs() - back.atMs > minuteMs) return;
    const count = (back.effects.get(uuid) ?? 0) + 1;
    back.effects.set(uuid, count);
    this.checks++;
    if (count > effectsOfReturnMax)
      this.#fail(13, `machine ${uuid}: ${count} effects in the minute after the link was up again`);
  }

  /** An order is about to be carried out. @param lateMs how long its deadline has passed, by the clock of whoever gave it; negative before */
  onOrder(id: string, lateMs: number): void {
    this.checks++;
    if (lateMs > 0) this.#fail(13, `order ${id} is carried out ${lateMs} ms after its deadline`);
  }

  /** @param sessions that the life of an agent has with the BMC by now */
  onSession(bmc: string, life: string, sessions: number): void {
    this.checks++;
    if (sessions > 1) this.#fail(11, `${life} has ${sessions} sessions with ${bmc}`);
  }

  /** The life of an agent asks something of a BMC. */
  onRequest(bmc: string, life: string): void {
    const key = `${bmc} ${life}`;
    const nowMs = this.#seen.nowMs();
    const known = this.#requests.get(key);
    const minute = known && nowMs - known.sinceMs < minuteMs ? known : { sinceMs: nowMs, count: 0 };
    minute.count++;
    this.#requests.set(key, minute);
    this.checks++;
    if (minute.count > requestsAMinuteMax) this.#fail(11, `${life} asks ${bmc} ${minute.count} times within a minute`);
  }

  /** A copy of the agent does something while the agent itself is connected. */
  onCopyActs(effect: string): void {
    this.checks++;
    if (!harmless.includes(effect)) this.#fail(17, `a copy of the agent does ${effect} beside it`);
  }

  onJoined(broken: string): void {
    this.#fail(19, broken);
  }

  onSaid(line: string): void {
    if (canary.test(line)) this.#fail(12, line.slice(0, 200));
  }

  onApplied(partition: string, history: string, revision: bigint): void {
    const { history: before, revision: at } = this.#appliedAt.get(partition) ?? { history: "", revision: 0n };
    this.checks++;
    if (history === before && revision < at && !this.excuses.agentDiskRestored)
      this.#fail(6, `the ledger went from revision ${at} back to ${revision}`);
    if (history !== before || revision !== at) this.#appliedAt.set(partition, { history, revision });
  }

  /** Looks at the store where it has changed. */
  afterEvent(): void {
    const { truth } = this.#seen;
    if (truth.revision === this.#checkedRevision) return;
    this.#checkedRevision = truth.revision;
    this.checks++;
    const holders = new Map<string, string>();
    for (const { value } of truth.list(kinds.machineDesired)) {
      this.#checkOwn(holders, value.uuid, value.allocation);
    }
    if (!this.excuses.storeRestored)
      for (const { uuid, allocation } of this.#seen.locals()) this.#checkOwn(holders, uuid, allocation);
    for (const { what, network } of heldByNetworks(this.#seen, this.excuses)) this.#owned(holders, what, network);
    for (const server of this.#seen.servers) {
      this.#noteFreed(server);
      this.#checkPort(server);
    }
    for (const { value } of truth.list(kinds.machineObserved)) {
      this.#checkSeen("bmc", value.uuid, value.bmcUpdatedAt);
      this.#checkSeen("word", value.uuid, value.heardAt);
      if (value.phonedHomeEpoch > value.installedEpoch)
        this.#fail(
          8,
          `machine ${value.uuid} is at home under ${value.phonedHomeEpoch}, and was never said to be installed`,
        );
    }
    for (const { id } of truth.list(kinds.partition).map(({ value }) => value)) this.#checkTaken(id);
  }

  #checkSeen(sight: Sight, uuid: string, shown: Timestamp | undefined): void {
    const newerByMs = shown ? this.sightings.newerByMs(sight, uuid, timestampMs(shown)) : 0;
    if (newerByMs > 0) this.#fail(10, `machine ${uuid} is shown as seen (${sight}) ${newerByMs} ms later than it was`);
  }

  #checkTaken(partition: string): void {
    const cursor = this.#seen.truth.get(kinds.reportCursor, partition)?.value;
    if (!cursor) return;
    const before = this.#taken.get(partition);
    if (before?.outbox === cursor.outbox && cursor.sequence < before.sequence)
      this.#fail(6, `what central took of ${partition} went from ${before.sequence} back to ${cursor.sequence}`);
    this.#taken.set(partition, { outbox: cursor.outbox, sequence: cursor.sequence });
  }

  #checkOwn(holders: Map<string, string>, uuid: string, allocation: MachineAllocation | undefined): void {
    for (const { vrf, ips, asn } of allocation?.networks ?? []) {
      for (const ip of ips) this.#owned(holders, `${vrf ?? 0} ${ip}`, uuid);
      this.#owned(holders, `number ${asn}`, uuid);
    }
  }

  #owned(holders: Map<string, string>, ip: string, uuid: string): void {
    const other = holders.get(ip);
    if (other !== undefined && other !== uuid) this.#fail(3, `${ip} belongs to ${other} and to ${uuid}`);
    holders.set(ip, uuid);
  }

  #noteFreed(server: SimServer): void {
    const desired = this.#desired(server);
    if (desired?.allocation || desired?.release) this.#held.add(server.uuid);
    else if (this.#held.delete(server.uuid) && desired && this.#copyIn.has(desired.partition))
      this.#freedByCopy.set(server.uuid, desired.epoch);
  }

  /** Free, with nothing left to give back: then its port is home. */
  #checkPort(server: SimServer): void {
    const desired = this.#desired(server);
    const network = this.#seen.networkOf(server);
    if (network === "prov") this.#away.delete(server.uuid);
    // What the store has forgotten is left where it is, until somebody looks.
    if (!desired || desired.allocation || desired.release || this.#away.has(server.uuid)) return;
    // Its partition may have given it away, also by a delegation that the store has forgotten: then central may come to that epoch by itself.
    const given = (this.#given.get(server.uuid) ?? -1n) + (this.excuses.storeRestored ? 1n : 0n);
    if (desired.delegated || desired.epoch < given) return;
    if (desired.epoch <= (this.#orphans.get(server.uuid) ?? -1n)) return;
    if (network !== "prov" && this.#freedByCopy.get(server.uuid) !== desired.epoch)
      this.#fail(4, `${server.plan.name} is free and its port is in ${network}`);
  }
}
