// What the contract table asks: of each row in each column.

import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";

export const columns = ["link up", "cut 1 min", "cut 7 days", "cut, agent restarted", "rejoined"] as const;
export type Column = (typeof columns)[number];

/** What a cell says: it works, it works and central is told later, or why it is refused. */
export type Cell = "works" | "works, report queued" | `refused: ${string}`;

export const rows = [
  "DHCP: a lease is renewed",
  "DHCP: a known machine asks",
  "PXE boot of a known machine",
  "PXE boot of an unknown server",
  "registration of an unknown server",
  "a running installation finishes",
  "userdata reaches the machine",
  "the image was cached before, its source is away",
  "phone-home of an installed system",
  "the switch port moves after the installation",
  "a delete that was ordered before is carried out",
  "a reinstall that was ordered before is carried out",
  "power on and off by people on site",
  "console by people on site",
  "what people on site did is on record",
  "machines are listed on site with a token of eight hours",
  "the agent restarts and knows what it knew",
  "the link comes back: the certificate of five days lets the agent in",
  "the link comes back, if need be with a new join token: all that was done is told",
  "the agent is put up again from its backup",
  "a machine is created within a budget",
  "a machine is created beyond the budget",
  "a network is created within a budget, and the machine in it",
  "a network is created beyond the budget",
] as const;
export type Row = (typeof rows)[number];

export const yes = (is: boolean, why: string): Cell => (is ? "works" : `refused: ${why}`);

/** What was done to a machine: whether it waits, and when it was wiped, isolated, installed, heard at home and reinstalled last. */
export const doneOf = (m: MachineObserved | undefined): string =>
  [m?.waiting, m?.wipedEpoch, m?.isolatedEpoch, m?.installedEpoch, m?.phonedHomeEpoch, m?.reinstall?.installed].join();
