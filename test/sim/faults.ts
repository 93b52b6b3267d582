import { diskFaults } from "./disk-faults.ts";
import type { Fault } from "./fault.ts";
import { lineFaults, linkFaults } from "./line-faults.ts";
import { processFaults } from "./process-faults.ts";
import { rackFaults } from "./rack-faults.ts";
import { storeFaults } from "./store-faults.ts";

const ofLink = lineFaults(({ link }) => [link], [50, 5_000]);
const ofServers = lineFaults(({ servers }) => servers.map(({ wire }) => wire), [50, 30_000]);

/** Every fault that can be, by name. A seed takes some of them. */
export const faults = {
  ...linkFaults,
  "link slow": ofLink.slow,
  "link lossy": ofLink.lossy,
  "link doubles calls": ofLink.doubling,
  "link half-open": ofLink.halfOpen,
  ...processFaults,
  ...diskFaults,
  ...storeFaults,
  ...rackFaults,
  "servers' network slow": ofServers.slow,
  "servers' network lossy": ofServers.lossy,
  "servers' network doubles calls": ofServers.doubling,
  "servers' network half-open": ofServers.halfOpen,
} as const satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof faults;

export const faultNames = Object.keys(faults) as readonly FaultName[]; // its keys are no others
