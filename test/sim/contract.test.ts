import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { bundled, type Program } from "../bundled.ts";
import { contractPage } from "./contract-page.ts";
import { type Cell, type Column, columns, type Row, rows } from "./contract-rows.ts";

const run = promisify(execFile);
const page = path.resolve(import.meta.dirname, "../../docs/autonomy.md");
const found = new Map<Column, ReadonlyMap<Row, Cell>>();
let program: Program;

before(async () => {
  program = await bundled(path.join(import.meta.dirname, "contract-main.ts"));
});

after(() => program.remove());

// Each in a process of its own: node:test follows every promise that is made in its own, which takes a third of the time.
describe("what works while the link is cut", { concurrency: 2 }, () => {
  for (const column of columns) {
    test(`every row has an answer when: ${column}`, async () => {
      const { stdout } = await run(process.execPath, ["--max-semi-space-size=64", program.file, column]);
      const { violation, cells } = JSON.parse(stdout) as { violation?: string; cells: [Row, Cell][] };
      assert.equal(violation, undefined);
      assert.deepEqual(
        cells.map(([row]) => row),
        rows,
      );
      found.set(column, new Map(cells));
    });
  }
});

test("docs/autonomy.md says what was found", () => {
  assert.equal(found.size, columns.length);
  const text = contractPage(found);
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(page, text);
  assert.equal(existsSync(page) ? readFileSync(page, "utf8") : "", text);
});
