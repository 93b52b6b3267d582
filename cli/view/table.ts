/** One column; a `wide` one is shown only when the reader asks for more. */
export interface Column<T> {
  readonly title: string;
  readonly of: (row: T) => string;
  readonly wide?: true;
}

/** Terminals obey control characters: what came over the network must not move the cursor or recolour the screen. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ").trim();

/** @returns lines with two spaces between columns, each ended by a line break; an empty cell is `-` */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], detail: "narrow" | "wide"): string {
  const shown = columns.filter((c) => detail === "wide" || !c.wide);
  const cells = [shown.map((c) => c.title), ...rows.map((row) => shown.map((c) => printable(c.of(row)) || "-"))];
  const widths = shown.map((_, i) => Math.max(...cells.map((line) => [...(line[i] ?? "")].length)));
  return cells
    .map(
      (line) =>
        `${line
          .map((cell, i) => pad(cell, widths[i] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** Counts code points, as a terminal nearly does; `padEnd` counts UTF-16 units. */
const pad = (text: string, width: number) => text + " ".repeat(Math.max(0, width - [...text].length));
