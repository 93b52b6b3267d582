import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { type Cell, type Column, ContractWorld, columns, contractPage, type Row, rows } from "./contract.ts";

const page = path.resolve(import.meta.dirname, "../../docs/autonomy.md");
const found = new Map<Column, ReadonlyMap<Row, Cell>>();

for (const column of columns) {
  test(`every row has an answer when: ${column}`, async () => {
    const contract = new ContractWorld(column);
    const cells = await contract.cells();
    assert.equal(contract.world.invariants.violation, undefined);
    assert.deepEqual([...cells.keys()], [...rows]);
    found.set(column, cells);
  });
}

test("docs/autonomy.md says what was found", () => {
  assert.equal(found.size, columns.length);
  const text = contractPage(found);
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(page, text);
  assert.equal(existsSync(page) ? readFileSync(page, "utf8") : "", text);
});

after(() => found.clear());
