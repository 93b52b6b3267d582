import type { HistoryHold, KindDifference, MachineDifference } from "#gen/holdfast/state/v1/history_pb.ts";
import { factsText } from "../view/facts.ts";
import { type Column, table } from "../view/table.ts";
import { ageText } from "../view/time.ts";

/** What an agent holds back, for people: both histories, then each machine that differs, then the rest. */
export function holdText(hold: HistoryHold, nowMs: number): string {
  const { machines, machinesTotal, others } = hold;
  const left = machinesTotal - machines.length;
  return [
    factsText([
      ["in force", hold.inForce],
      ["held", `${hold.held}, revision ${hold.revision}, for ${ageText(hold.since, nowMs)}`],
      ["machines", machinesTotal === 0 ? "the same in both" : `${machinesTotal} are not the same in both`],
    ]),
    ...(machines.length === 0 ? [] : ["\n", table(machines, machineColumns, "narrow")]),
    ...(left > 0 ? [`and ${left} more\n`] : []),
    ...(others.length === 0 ? [] : ["\n", table(others, otherColumns, "narrow")]),
  ].join("");
}

const machineColumns: readonly Column<MachineDifference>[] = [
  { title: "MACHINE", of: (m) => m.uuid },
  { title: "IN FORCE", of: (m) => m.inForce },
  { title: "HELD", of: (m) => m.held },
  { title: "SEEN", of: (m) => m.seen },
  { title: "WHEN ACCEPTED", of: (m) => m.consequence },
];

const otherColumns: readonly Column<KindDifference>[] = [
  { title: "OTHERS", of: (o) => o.kind },
  { title: "DIFFERENT", of: (o) => `${o.items}` },
];
