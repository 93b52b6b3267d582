import { epochMax, highestEpoch } from "#domain/machine/epoch.ts";
import { firstDesired } from "#domain/machine/first-desired.ts";
import { HistoryHoldSchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { LedgerContradictionsSchema } from "#gen/holdfast/state/v1/ledger_pb.ts";
import { type MachineObserved, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ConsolePasswordSchema } from "#gen/holdfast/state/v1/secret_pb.ts";
import type { ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { keepConsolePassword } from "../machine/console-password.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { enterSwitch } from "../switch/views.ts";
import { decoded } from "./decoded.ts";
import { settle } from "./settle.ts";
import { takeAudit } from "./take-audit.ts";
import { takersOfGiven } from "./take-given.ts";
import { entryName, shownMax, type Takers, type Teller, type Took, unreadable } from "./took.ts";

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** All that this central knows of. */
export const takers: Takers = {
  ...takersOfGiven,

  machine: (tx, entry, from) => {
    if (!uuidForm.test(entry.id)) return { rejected: `${entryName(entry)}: that is no uuid` };
    const observed = decoded(MachineObservedSchema, entry.value);
    if (observed?.uuid !== entry.id) return unreadable(entry);
    return takeMachine(tx, observed, from);
  },

  switch: (tx, entry, { partition, nowMs }) => {
    const seen = decoded(SwitchSchema, entry.value);
    if (entry.id === "" || seen?.id !== entry.id) return unreadable(entry);
    const home = tx.get(kinds.switch, entry.id)?.partition ?? seen.partition;
    const other = [seen.partition, home].find((p) => p !== partition);
    if (other !== undefined)
      return { rejected: `${entryName(entry)} is in partition ${other.slice(0, shownMax)}, not ${partition}` };
    enterSwitch(tx, seen, nowMs);
    return {};
  },

  "history-hold": (tx, entry, { partition }) => {
    const hold = decoded(HistoryHoldSchema, entry.value);
    if (entry.id !== partition || hold?.partition !== partition) return unreadable(entry);
    if (hold.held === "") tx.delete(kinds.historyHold, partition);
    else tx.put(kinds.historyHold, partition, hold);
    return {};
  },

  "ledger-contradictions": (tx, entry, { partition }) => {
    const told = decoded(LedgerContradictionsSchema, entry.value);
    if (entry.id !== partition || told?.partition !== partition) return unreadable(entry);
    if (told.total === 0) tx.delete(kinds.ledgerContradictions, partition);
    else tx.put(kinds.ledgerContradictions, partition, told);
    return {};
  },

  "console-password": (tx, entry, { partition }) => {
    const given = decoded(ConsolePasswordSchema, entry.value);
    if (given?.uuid !== entry.id) return unreadable(entry);
    const desired = tx.get(kinds.machineDesired, entry.id);
    // That of a system which is over by now, or which nothing is known of any more, opens nothing.
    if (desired?.partition === partition) keepConsolePassword(tx, desired, given);
    return {};
  },

  audit: (tx, entry, { partition }) => takeAudit(tx, entry, partition),
};

/** Takes one fact, or says that it comes from a newer agent than this central knows. */
export function takeEntry(known: Takers, tx: Tx, entry: ReportEntry, from: Teller): Took {
  const taker = Object.hasOwn(known, entry.kind) ? known[entry.kind] : undefined;
  if (taker) return taker(tx, entry, from);
  return { rejected: `kind ${entry.kind.slice(0, shownMax)} is unknown to this central`, isUnknownKind: true };
}

function takeMachine(tx: Tx, observed: MachineObserved, { partition, nowMs, byMachine }: Teller): Took {
  const { uuid } = observed;
  const desired = tx.get(kinds.machineDesired, uuid);
  if (desired && desired.partition !== partition) {
    return { rejected: `machine ${uuid} belongs to partition ${desired.partition}, not ${partition}` };
  }
  const epoch = highestEpoch(observed);
  if (epoch > epochMax) return { rejected: `machine ${uuid}: epoch ${epoch} exceeds ${epochMax}` };
  observed.partition = partition;
  // Agents do not send it; if one did, it would be in every answer that shows the machine.
  if (observed.bmc) observed.bmc.password = "";
  tx.put(kinds.machineObserved, uuid, observed);
  // One that works for somebody is nobody's to give: this store was restored from an older copy, or made anew. It gets no record
  // until an administrator reclaims it, and its agent leaves it alone.
  const isUnknown = desired === undefined && observed.workedEpoch !== 0n;
  const next = desired
    ? settle(tx, byMachine, desired, observed)
    : isUnknown
      ? undefined
      : firstDesired(observed, nowMs);
  if (next) tx.put(kinds.machineDesired, uuid, next);
  return { isUnsettled: next?.release !== undefined && next.release.epoch <= observed.isolatedEpoch };
}
