import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ReportCursorSchema } from "#gen/holdfast/state/v1/cursor_pb.ts";
import { FollowRequestSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { isSetBack } from "./set-back.ts";

/** Central took 100 from the life "b". */
const taken = (agent = "b") => create(ReportCursorSchema, { outbox: "o", sequence: 100n, agent });

interface Said {
  readonly sequence: number;
  /** Life and last sequence. */
  readonly former: readonly (readonly [string, number])[];
  readonly agent?: string;
  readonly protocol?: number;
}

const follow = ({ sequence, former, agent = "now", protocol = 3 }: Said) =>
  create(FollowRequestSchema, {
    agent,
    protocol,
    sequence: BigInt(sequence),
    former: former.map(([life, last]) => ({ agent: life, sequence: BigInt(last) })),
  });

const cases: readonly (readonly [string, Said, boolean])[] = [
  ["went on after the life that reported", { sequence: 100, former: [["b", 100]] }, false],
  ["had put in more than was taken when that life ended", { sequence: 130, former: [["b", 120]] }, false],
  ["had lives in between of which nothing was taken", { sequence: 130, former: [["b", 100], ["c", 110]] }, false], // biome-ignore format: a table
  ["is the life that reported, whose request was overtaken", { sequence: 99, former: [], agent: "b" }, false],
  ["was set back to before that life", { sequence: 50, former: [["a", 50]] }, true],
  ["was set back to before that life, and counted on", { sequence: 150, former: [["a", 50]] }, true],
  ["was set back within that life, and counted on", { sequence: 150, former: [["a", 20], ["b", 50]] }, true], // biome-ignore format: a table
  ["was set back to before any life", { sequence: 150, former: [] }, true],
  ["keeps no record of its lives, and is behind", { sequence: 99, former: [], protocol: 2 }, true],
  ["keeps no record of its lives, and is not behind", { sequence: 100, former: [], protocol: 2 }, false],
];
for (const [what, said, expected] of cases)
  test(`a disk that ${what} is ${expected ? "older than its reports" : "as new as they are"}`, () => {
    assert.equal(isSetBack(taken(), follow(said)), expected);
  });

test("while it is not known which life reported last, the sequence alone tells", () => {
  assert.equal(isSetBack(taken(""), follow({ sequence: 99, former: [["a", 1]] })), true);
  assert.equal(isSetBack(taken(""), follow({ sequence: 100, former: [["a", 1]] })), false);
});
