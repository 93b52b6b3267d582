import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { fake, holdfast, reset, start, stop } from "../testing/rehearsal.ts";

before(start);
after(stop);
beforeEach(reset);

describe("after central was restored", () => {
  test("what an agent holds is shown, and how to let it go on", async () => {
    const ran = await holdfast(["partition", "history", "lab"]);
    assert.match(ran.out, /^in force: +h1\nheld: +h2, revision 9/);
    assert.match(ran.out, /the same in both/);
    assert.match(ran.err, /holdfast partition accept-history lab/);
    assert.equal(
      (await holdfast(["partition", "history", "third"])).out,
      "central's history is h2; the agent holds nothing back\n",
    );
  });

  test("where an agent was told something else under a revision than before is shown", async () => {
    const { out } = await holdfast(["partition", "history", "other"]);
    assert.match(out, /holds nothing back\n\ncentral told something else under a revision than before/);
    assert.match(out, /size +s1 +7 +00000000000000aa +00000000000000bb\nand 2 more\n/);
  });

  test("accepting names the history that this central has, or the one that was named", async () => {
    assert.equal(
      (await holdfast(["partition", "accept-history", "lab"])).out,
      "the agent of partition lab may act on history h2\n",
    );
    await holdfast(["partition", "accept-history", "lab", "h2"]);
    assert.deepEqual(
      fake.asked.map((a) => a.request),
      [
        { id: "lab", history: "h2" },
        { id: "lab", history: "h2" },
      ],
    );
  });

  test("an agent that has not seen this central yet is not let go on by accident", async () => {
    const ran = await holdfast(["partition", "accept-history", "late"]);
    assert.equal(ran.code, 1);
    assert.match(ran.err, /the agent of partition late holds history h1, and this central's is h2/);
    assert.deepEqual(fake.asked, []);
  });
});
