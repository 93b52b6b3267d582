// The list of what must hold, and how whoever looks on says that something did not.
import type { Seen } from "./seen.ts";

/** By the numbers of the list in docs/simulator.md. */
export const invariants = {
  1: "a disk is wiped only when its tenant has given it back",
  2: "nobody gets a machine on whose disk another's data is",
  3: "no machine has two owners, no address two machines, no VRF and no prefix two networks",
  4: "a port is in a tenant's network only while its machine is allocated to that tenant",
  6: "what was applied of a thing never goes back, and what was deleted stays deleted",
  7: "unreachable never becomes unknown",
  8: "a machine is installed once for one allocation, what counts as installed is on its disk, and what was acknowledged is held",
  9: "nothing is done under an epoch that is over, after its deadline, or twice under one id, and no order refused before its deadline",
  10: "status is not newer than what was seen",
  11: "an agent has one session with a BMC, and does not flood it",
  12: "no secret is said, and nothing of a partition in another one",
  13: "every boot comes to a verdict",
  14: "no more is handed out than there is to hand out",
  15: "nothing is done without end",
  16: "every machine can be given back, whatever it has been through",
  17: "one agent acts for a partition",
  18: "what was acknowledged is on the disk",
  19: "an agent is let in once by a join token, and speaks by a certificate that is good",
  20: "a disk that is kept is never wiped while its allocation lives",
} as const;

export type InvariantNumber = keyof typeof invariants;

export interface Judge {
  readonly seen: Seen;
  /** One more thing was looked at. */
  readonly checked: () => void;
  /** Kept, not thrown: it is found in the middle of code that would take it for a trouble of its own. */
  readonly fail: (number: InvariantNumber, what: string) => void;
}
