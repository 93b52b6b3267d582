// All that is known and true of one machine at a moment, in a form of which there are finitely many.
//
// Epochs and reinstallations count up for ever, but only their order is asked for: so both are renamed to their ranks. Those that are over are
// all alike where they are only asked whether they are the present one. A time is either just now or longer ago than any patience.
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { installerStates, isPast } from "#agent/machine/plan.ts";
import { stateOf } from "#domain/machine/lifecycle.ts";
import { livelinessNow } from "#domain/machine/liveliness.ts";
import {
  type EffectRecord,
  type MachineDesired,
  MachineDesiredSchema,
  type MachineObserved,
  MachineObservedSchema,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  MachineProvisioningEventType as Event,
  type MachineAllocation,
  MachineAllocationSchema,
  type MachineLiveliness,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { copyOf } from "#lib/message.ts";

export interface Standing {
  /** What central wants. */
  central: MachineDesired;
  /** What the agent was told last. */
  told: MachineDesired;
  /** What the agent sees, and has reported. */
  observed: MachineObserved;
  server: Server;
}

/** The server itself. */
export interface Server {
  isOn: boolean;
  runs: Runs;
  /** Boots from disk, whatever is on it, unless told otherwise for once. */
  bootsDisk: boolean;
  bootsNetworkOnce: boolean;
  /** Epoch of the tenant in whose network the port is; 0: the provisioning network. */
  port: bigint;
  /** Epoch of whom something is on the disk; 0: it is empty. */
  data: bigint;
  /** Whether that tenant's system has ever run. */
  isLivedIn: boolean;
  /** Whether there is a whole system on the disk. */
  isBootable: boolean;
}

/** From `begun` to `written` it is the installer. */
export type Runs =
  | "nothing"
  | "firmware"
  | "begun"
  | "wiping"
  | "waiting"
  | "allocated"
  | "reinstalling"
  | "writing"
  | "written"
  | "system";

export const uuid = "2f1d2cf4-7f0c-4a58-a2f1-b1a4cbb1a001";
export const project = "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11";
export const imageUrl = "http://images/debian.tar.zst";
export const nowMs = Date.UTC(2026, 0, 1);
/** Longer ago than any patience lasts. */
export const longMs = 24 * 3_600_000;

export const tenantNetwork = (epoch: bigint): string => `tenant-${epoch}`;

export const allocationUnder = (epoch: bigint): MachineAllocation =>
  create(MachineAllocationSchema, {
    uuid: "allocation",
    project,
    image: { id: "debian-13", url: imageUrl },
    filesystemLayout: {
      id: "one-disk",
      disks: [{ device: "/dev/sda" }],
      filesystems: [{ device: "/dev/sda1", path: "/" }],
    },
    networks: [{ network: tenantNetwork(epoch), networkType: NetworkType.CHILD }],
  });

/** A server that was plugged in. */
export function newStanding(): Standing {
  const central = create(MachineDesiredSchema, { uuid, partition: "p1", epoch: 1n });
  const observed = create(MachineObservedSchema, { uuid, partition: "p1", epoch: 1n });
  const server: Server = {
    ...{ isOn: false, runs: "nothing", bootsDisk: false, bootsNetworkOnce: false },
    ...{ port: 0n, data: 0n, isLivedIn: false, isBootable: false },
  };
  return canonical({ central, told: copyOf(central), observed, server });
}

/** To be changed: of the messages others are put into their place, and the server is its own. */
export const copied = (s: Standing): Standing => ({ ...s, server: { ...s.server } });

/** Its name among all standings; what differs only in what nobody asks for has the same one. @param standing a canonical one */
export function nameOf(standing: Standing): string {
  const known = names.get(standing);
  if (known !== undefined) return known;
  const name = JSON.stringify(standing, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value));
  names.set(standing, name);
  return name;
}

const names = new WeakMap<Standing, string>();

/**
 * The same standing, with all renamed that may be, and without what no rule asks for. Epochs before those that central and agent are at
 * become `past`, reinstallations 1, 2 and so on by their order.
 */
export function canonical({ central, told, observed: m, server }: Standing): Standing {
  const epochs = epochsOf(told);
  const { live, rank } = epochs;
  const progress = m.reinstall && live(m.reinstall.epoch) !== 0n ? m.reinstall : undefined;
  const numbers = [central.reinstall?.number, told.reinstall?.number, progress?.begun, progress?.overwritten];
  const number = ranks([...numbers, progress?.installed].map((n) => n ?? 0));
  const boot = (id: string) => (id !== "" && id === m.boot ? "boot" : "");
  const isReinstalled = central.reinstall !== undefined || told.reinstall !== undefined;
  return {
    central: desiredIn(central, rank, number),
    told: desiredIn(withoutRelease(told), rank, number),
    server: { ...server, port: rank(server.port), data: rank(server.data) },
    observed: create(MachineObservedSchema, {
      ...{ uuid, partition: "p1", bmc: { address: "bmc" }, firmware: "efi", liveliness: livelinessIn(m, told) },
      ...{ waiting: m.waiting, boot: boot(m.boot), installedBoot: boot(m.installedBoot) },
      ...{ epoch: live(m.epoch), isolatedEpoch: live(m.isolatedEpoch), phonedHomeEpoch: live(m.phonedHomeEpoch) },
      ...{ reclaimedEpoch: isPast(told, m) ? live(m.reclaimedEpoch) : 0n, diskBootEpoch: live(m.diskBootEpoch) },
      ...{ workedEpoch: rank(m.workedEpoch), wipedEpoch: rank(m.wipedEpoch) },
      installedEpoch:
        m.wipedEpoch === 0n || m.wipedEpoch > m.installedEpoch ? live(m.installedEpoch) : rank(m.installedEpoch),
      powerAttempts: Math.min(m.powerAttempts, 1),
      ...timesOf(m),
      events: { events: [{ event: stateIn(m, isReinstalled) }] },
      effects: effectsIn(m, isReinstalled ? told.epoch : undefined, rank),
      ...(progress && {
        reinstall: {
          ...{ epoch: rank(progress.epoch), begun: number(progress.begun), overwritten: number(progress.overwritten) },
          ...{ installed: number(progress.installed), toldBoot: boot(progress.toldBoot) },
        },
      }),
    }),
  };
}

const past = 1n;

/** An agent does not ask for it. */
function withoutRelease({ release: _, ...told }: MachineDesired): MachineDesired {
  return told;
}

/** Of past epochs it is only asked whether they are past, but for the last wipe, which may be before or after the last installation. */
function epochsOf(told: MachineDesired) {
  const oldest = told.epoch; // never above that of central
  const rank = (epoch: bigint): bigint => {
    if (epoch === 0n) return 0n;
    if (epoch < oldest) return past;
    return epoch === oldest ? past + 2n : past + 3n;
  };
  return { rank, live: (epoch: bigint): bigint => (epoch < oldest ? 0n : rank(epoch)) };
}

type Rank = (epoch: bigint) => bigint;

function desiredIn(
  { epoch, allocation, release, reinstall }: MachineDesired,
  rank: Rank,
  number: (reinstall: number) => number,
): MachineDesired {
  return create(MachineDesiredSchema, {
    ...{ uuid, partition: "p1", epoch: rank(epoch) },
    ...(allocation && { allocation: allocationUnder(rank(epoch)) }),
    ...(release && { release: { epoch: rank(release.epoch), project, allocation: "allocation" } }),
    ...(reinstall && {
      reinstall: { number: number(reinstall.number), aborted: reinstall.aborted, keeps: reinstall.keeps },
    }),
  });
}

/** What was heard is longer ago than what was done since. */
const timesOf = ({ heardAt, powerActedAt, powerAttempts }: MachineObserved) => ({
  ...(heardAt && { heardAt: powerAttempts > 0 ? longAgo : recency(heardAt) }),
  ...((heardAt ?? powerActedAt) && {
    powerActedAt: powerActedAt && powerAttempts > 0 ? recency(powerActedAt) : longAgo,
  }),
});

const longAgo = timestampFromMs(nowMs - longMs);

const recency = (at: Timestamp): Timestamp => (timestampMs(at) < nowMs ? longAgo : timestampFromMs(nowMs));

const livelinessIn = (m: MachineObserved, told: MachineDesired): MachineLiveliness =>
  livelinessNow({ ...m, ...timesOf(m) }, { desired: told, nowMs, listeningSinceMs: nowMs - longMs });

/** The state of the life cycle, as far as a rule here tells it from others: whether it was ready, is leaving the installer, or is in it. */
function stateIn(m: MachineObserved, isReinstalled: boolean): Event {
  const state = stateOf(m.events);
  const isReady = m.wipedEpoch !== 0n && (state === Event.WAITING || state === Event.MACHINE_RECLAIM);
  const isLeaving = state === Event.INSTALLING && timestampMs(timesOf(m).heardAt ?? longAgo) === nowMs;
  if (isReady || isLeaving) return state;
  return isReinstalled && installerStates.includes(state) ? Event.PXE_BOOTING : Event.PLANNED_REBOOT;
}

/** Those that are open, and what switched the machine last. */
function effectsIn({ effects }: MachineObserved, epoch: bigint | undefined, rank: Rank): EffectRecord[] {
  const isDone = (e: EffectRecord) => e.endedAt !== undefined && e.error === "" && e.epoch === epoch;
  const last = effects.findLast((e) => isDone(e) && switching.includes(e.effect));
  return effects
    .filter((e) => e.endedAt === undefined || e === last)
    .map((e, i) => ({
      ...e,
      ...{
        opId: `effect-${i}`,
        epoch: e.endedAt ? rank(e.epoch) : past,
        why: "",
        begunAt: timestampFromMs(nowMs),
      },
      ...(e.endedAt && { endedAt: timestampFromMs(nowMs) }),
    }));
}

const switching: readonly string[] = ["boot-installer", "start-from-disk"];

/** 0 stays, all others become 1, 2, 3 by their order. */
function ranks(all: readonly number[]): (n: number) => number {
  const sorted = [...new Set(all)].filter((n) => n !== 0).sort((a, b) => a - b);
  return (n) => sorted.indexOf(n) + 1;
}
