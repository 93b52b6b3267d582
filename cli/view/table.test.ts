import assert from "node:assert/strict";
import { test } from "node:test";
import { type Column, table } from "./table.ts";

const columns: readonly Column<{ id: string; name: string; note: string }>[] = [
  { title: "ID", of: (r) => r.id },
  { title: "NAME", of: (r) => r.name },
  { title: "NOTE", of: (r) => r.note, wide: true },
];

test("columns are as wide as their widest cell, and empty cells show", () => {
  const rows = [
    { id: "a", name: "näh", note: "" },
    { id: "long-id", name: "", note: "" },
  ];
  assert.equal(table(rows, columns, "narrow"), "ID       NAME\na        näh\nlong-id  -\n");
});

test("wide columns come only when asked for", () => {
  assert.equal(table([{ id: "a", name: "b", note: "c" }], columns, "wide"), "ID  NAME  NOTE\na   b     c\n");
});

test("no rows leave the titles", () => {
  assert.equal(table([], columns, "narrow"), "ID  NAME\n");
});

test("control characters from the network do not reach the terminal", () => {
  assert.equal(table([{ id: "a\u001b[31m\n", name: "b", note: "" }], columns, "narrow"), "ID      NAME\na [31m  b\n");
});
