import type {
  HistoryHold,
  ItemDifference,
  KindDifference,
  MachineDifference,
} from "#gen/holdfast/state/v1/history_pb.ts";
import { factsText } from "../view/facts.ts";
import { type Column, table } from "../view/table.ts";
import { ageText } from "../view/time.ts";

/** What an agent holds back, for people: both histories, then each machine that differs, then the rest by kind. */
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
    ...others.flatMap((other) => ["\n", othersText(other)]),
  ].join("");
}

const machineColumns: readonly Column<MachineDifference>[] = [
  { title: "MACHINE", of: (m) => m.uuid },
  { title: "IN FORCE", of: (m) => m.inForce },
  { title: "HELD", of: (m) => m.held },
  { title: "SEEN", of: (m) => m.seen },
  { title: "WHEN ACCEPTED", of: (m) => m.consequence },
];

/** An agent of before items were named tells how many there are. */
function othersText({ kind, items, named }: KindDifference): string {
  const left = items - named.length;
  const columns: readonly Column<ItemDifference>[] = [{ title: kind.toUpperCase(), of: (i) => i.id }, ...itemColumns];
  if (named.length === 0) return `${items} of kind ${kind} are not the same in both\n`;
  return `${table(named, columns, "narrow")}${left > 0 ? `and ${left} more\n` : ""}`;
}

const itemColumns: readonly Column<ItemDifference>[] = [
  { title: "IN FORCE", of: (i) => i.inForce },
  { title: "HELD", of: (i) => i.held },
  { title: "DIFFERENT", of: (i) => i.fields.join(", ") },
];
