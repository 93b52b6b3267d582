// What must hold after every event, whatever went wrong. Each subject has a file of its own.
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { kinds } from "#central/store/kinds.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Boots } from "./boots.ts";
import { Deletions } from "./deletions.ts";
import { Disks } from "./disks.ts";
import { Effects } from "./effects.ts";
import { GivenAway } from "./given.ts";
import { type InvariantNumber, invariants, type Judge } from "./judge.ts";
import { Known } from "./known.ts";
import { Leases, type Rows } from "./leases.ts";
import { heldByNetworks } from "./networks-made.ts";
import { Ports } from "./ports.ts";
import { Secrets } from "./secrets.ts";
import type { Seen, StoreCopy } from "./seen.ts";
import { type Sight, Sightings } from "./sightings.ts";

export class Invariants {
  readonly #seen: Seen;
  readonly judge: Judge;
  readonly sightings = new Sightings();
  readonly given: GivenAway;
  readonly disks: Disks;
  readonly effects: Effects;
  readonly leases: Leases;
  readonly boots: Boots;
  readonly secrets: Secrets;
  readonly #ports: Ports;
  readonly #deletions: Deletions;
  readonly #known: Known;
  #checkedRevision = -1n;
  /** Whether central's store has ever become an older copy of itself. */
  isStoreRestored = false;
  checks = 0;
  /** The first thing that happened and must never happen; the run is over then. */
  violation: string | undefined;
  /** Told when the store becomes an older copy of itself. */
  onRestored: () => void = () => {};

  constructor(seen: Seen) {
    this.#seen = seen;
    const judge: Judge = {
      seen,
      checked: () => {
        this.checks++;
      },
      fail: (number, what) => this.#fail(number, what),
    };
    this.judge = judge;
    this.given = new GivenAway(judge);
    this.disks = new Disks(judge, this.given);
    this.effects = new Effects(judge);
    this.leases = new Leases(judge);
    this.boots = new Boots(judge);
    this.secrets = new Secrets(judge);
    this.#ports = new Ports(judge, this.given);
    this.#deletions = new Deletions(judge);
    this.#known = new Known(judge);
  }

  #fail(number: InvariantNumber, what: string): void {
    this.violation ??= `invariant ${number} (${invariants[number]}): ${what}`;
  }

  /** To be called right before central's store becomes an older copy of itself. */
  onStoreRestore(copy: StoreCopy): void {
    this.isStoreRestored = true;
    this.onRestored();
    this.given.onStoreRestore();
    this.disks.onStoreRestore(copy);
    this.#ports.onStoreRestore(copy);
    this.#deletions.onStoreRestore(copy);
    this.#known.onStoreRestore();
  }

  /** To be called right after the disk of a partition's agent became an older copy of itself, or an empty one. */
  onDiskSetBack(partition: string, disk: Rows): void {
    this.disks.onDiskSetBack(partition);
    this.leases.onDiskSetBack(partition, disk);
  }

  /** Central follows an agent of the partition from now on. */
  onLetIn(partition: string, who: "agent" | "copy"): void {
    this.given.onLetIn(partition, who);
    if (who === "agent") this.effects.onLinkUp(partition);
  }

  onJoined(broken: string): void {
    this.#fail(19, broken);
  }

  /** After every event: looks at what can have changed. */
  afterEvent(): void {
    const { revision } = this.#seen.truth;
    const hasStoreChanged = revision !== this.#checkedRevision;
    this.#checkedRevision = revision;
    if (hasStoreChanged) this.#checkStore();
    this.#ports.check(hasStoreChanged);
    this.boots.check();
  }

  #checkStore(): void {
    const { truth, locals } = this.#seen;
    this.checks++;
    const holders = new Map<string, string>();
    for (const { value } of truth.list(kinds.machineDesired)) this.#checkOwn(holders, value.uuid, value.allocation);
    for (const { uuid, epoch, allocation } of locals())
      if (!this.given.isUndelegated(`${uuid} ${epoch}`)) this.#checkOwn(holders, uuid, allocation);
    const isUndelegated = (network: string) => this.given.isUndelegated(network);
    for (const { what, network } of heldByNetworks(this.#seen, isUndelegated)) this.#owned(holders, what, network);
    for (const { value } of truth.list(kinds.machineObserved)) this.#checkObserved(value);
    this.#deletions.check();
    this.#known.check();
    this.secrets.check();
  }

  #checkObserved({ uuid, bmcUpdatedAt, heardAt, phonedHomeEpoch, installedEpoch }: MachineObserved): void {
    this.#checkSeen("bmc", uuid, bmcUpdatedAt);
    this.#checkSeen("word", uuid, heardAt);
    if (phonedHomeEpoch > installedEpoch)
      this.#fail(8, `machine ${uuid} is at home under ${phonedHomeEpoch}, and was never said to be installed`);
  }

  #checkSeen(sight: Sight, uuid: string, shown: Timestamp | undefined): void {
    const newerByMs = shown ? this.sightings.newerByMs(sight, uuid, timestampMs(shown)) : 0;
    if (newerByMs > 0) this.#fail(10, `machine ${uuid} is shown as seen (${sight}) ${newerByMs} ms later than it was`);
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
}
