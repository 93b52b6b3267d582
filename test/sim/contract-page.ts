import { type Cell, type Column, columns, type Row, rows } from "./contract-rows.ts";

/** docs/autonomy.md. @param table cells by column and row */
export function contractPage(table: ReadonlyMap<Column, ReadonlyMap<Row, Cell>>): string {
  const notes: string[] = [];
  const short = (cell: Cell): string => {
    if (!cell.startsWith("refused: ")) return cell;
    const why = cell.slice("refused: ".length);
    if (!notes.includes(why)) notes.push(why);
    return `refused (${notes.indexOf(why) + 1})`;
  };
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const lines = rows.map((row) =>
    line([row, ...columns.map((column) => short(table.get(column)?.get(row) ?? "refused: unknown"))]),
  );
  return [
    head.trim(),
    "",
    line(["", ...columns]),
    line(["---", ...columns.map(() => "---")]),
    ...lines,
    "",
    ...notes.map((why, i) => `${i + 1}. ${why}`),
    "",
  ].join("\n");
}

const head = `
# What works while the link is cut

Made by \`test/sim/contract.test.ts\`, which does each of these things in the simulator, with the shipped central, agent and
installer, and fails when a cell says something else. \`UPDATE_GOLDEN=1 npm test -- test/sim/contract\` writes it anew.

"works, report queued": it is done in the datacenter at once; central hears of it when the link is back, with the time at which it
happened. "rejoined": after a cut during which all of it was under way. Budgets: [budgets.md](budgets.md).

"cut 7 days": the week goes by first, and what was begun before it ends after it: two machines lose their power before an installation and
a wipe are done, the BMC of the one that is to be reinstalled is away while its system stays in use, and what is delegated is switched
off. When they are back the leases, the agent's certificate and logins of eight hours have ended, and the agent's clock is two minutes
off. Tokens that live longer are good on site for 14 days after central was last heard.
`;
