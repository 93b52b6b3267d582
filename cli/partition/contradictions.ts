import type { LedgerContradiction, LedgerContradictions } from "#gen/holdfast/state/v1/ledger_pb.ts";
import { type Column, table } from "../view/table.ts";

/** Where central told an agent something else under a revision than before, for people; empty when nowhere. */
export function contradictionsText(told: LedgerContradictions | undefined): string {
  if (!told || told.total === 0) return "";
  const left = told.total - told.items.length;
  return [
    "\ncentral told something else under a revision than before, and the agent keeps what it had:\n",
    table(told.items, columns, "narrow"),
    ...(left > 0 ? [`and ${left} more\n`] : []),
  ].join("");
}

const columns: readonly Column<LedgerContradiction>[] = [
  { title: "KIND", of: (c) => c.kind },
  { title: "ID", of: (c) => c.id },
  { title: "REVISION", of: (c) => `${c.revision}` },
  { title: "KEPT", of: (c) => c.kept },
  { title: "TOLD", of: (c) => c.told },
];
