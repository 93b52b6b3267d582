// What the processes of a benchmark tell each other.

/** Milliseconds of the monotonic clock, which all processes of a host share. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** One change at one reader. */
export interface Seen {
  readonly partition: string;
  readonly item: string;
  readonly cameMs: number;
  readonly durableMs: number;
}

/** Stands for all that an agent gets when it comes: seen when it has that. */
export const upToDate = "all";

/** Bytes by which a process has grown at most. */
export interface Growth {
  /** All that is in memory, with what is mapped from files and can be dropped at any time. */
  readonly resident: number;
  /** Without that. */
  readonly anonymous: number;
}

export interface Told {
  /** Agents or watchers that are up to date. */
  readonly following: number;
  readonly seen: readonly Seen[];
  readonly growth: Growth;
  /** Microseconds of computing, since the process began. */
  readonly computed: number;
}

interface Orders {
  readonly url: string;
  readonly prefix: string;
  readonly first: number;
  readonly count: number;
}

export interface WatcherOrders extends Orders {
  /** Below it each watcher has a disk; absent: what comes is written nowhere. */
  readonly folder?: string;
}

export interface AgentOrders extends Orders {
  readonly token: string;
  /** Below it each agent has a disk. */
  readonly folder: string;
}

/** Of this process: microseconds of computing since it began, of all its threads. */
export function computedMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

export const tell = (told: Omit<Told, "computed">): void =>
  void process.send?.({ ...told, computed: computedMicros() } satisfies Told);
