import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { agreeOnTerms, defaultTermLimits, type Terms } from "./terms.ts";
import { beginTransfer, onAck, onTime, retriesMax, type Step, type Transfer } from "./transfer.ts";

const terms = (change: Partial<Terms> = {}): Terms => ({
  blockBytes: 512,
  windowBlocks: 1,
  timeoutMs: 1000,
  agreed: undefined,
  ...change,
});
const going = (step: Step): Transfer => {
  assert.equal(step.kind, "go-on");
  return (step as Extract<Step, { kind: "go-on" }>).transfer;
};
/** `1-4`, `agreed`, `-` for nothing, or how it ended. */
const said = (step: Step): string => {
  if (step.kind === "ended") return step.how;
  if (!step.send) return "-";
  return step.send.kind === "agreed" ? "agreed" : `${step.send.from}-${step.send.to}`;
};

const agree = (asked: Record<string, string>) =>
  Object.fromEntries(agreeOnTerms(new Map(Object.entries(asked)), 1000, defaultTermLimits).agreed ?? []);

test("known options with valid values are agreed on, within the server's limits; others are left out", () => {
  assert.deepEqual(agree({ blksize: "1468", tsize: "0", timeout: "3", windowsize: "4", multicast: "" }), {
    blksize: "1468",
    tsize: "1000",
    timeout: "3",
    windowsize: "4",
  });
  assert.deepEqual(agree({ blksize: "65464", windowsize: "65535" }), { blksize: "1468", windowsize: "64" });
  assert.deepEqual(agree({ blksize: "7", timeout: "0", windowsize: "x" }), {});
  assert.equal(agreeOnTerms(new Map(), 1000, defaultTermLimits).agreed, undefined);
});

test("without options the first block is the answer; with options the agreement is, and block 1 follows its ACK", () => {
  assert.equal(said(beginTransfer(terms(), 1000, 0)), "1-1");
  const greeted = beginTransfer(terms({ agreed: new Map([["tsize", "1000"]]) }), 1000, 0);
  assert.equal(said(greeted), "agreed");
  assert.equal(said(onAck(going(greeted), 5, 0)), "-");
  assert.equal(said(onAck(going(greeted), 0, 0)), "1-1");
});

test("a file whose size is a multiple of the block ends with an empty block", () => {
  const first = going(beginTransfer(terms(), 512, 0));
  assert.equal(first.lastBlock, 2);
  const second = onAck(first, 1, 0);
  assert.equal(said(second), "2-2");
  assert.equal(said(onAck(going(second), 2, 0)), "done");
});

test("a repeated ACK is not answered with a second copy of the block", () => {
  const second = onAck(going(beginTransfer(terms(), 5000, 0)), 1, 0);
  assert.equal(said(onAck(going(second), 1, 0)), "-");
});

test("a window is sent at once; an ACK within it goes on from there", () => {
  const started = beginTransfer(terms({ windowBlocks: 4 }), 5000, 0);
  assert.equal(said(started), "1-4");
  assert.equal(said(onAck(going(started), 4, 0)), "5-8");
  assert.equal(said(onAck(going(started), 2, 0)), "3-6");
});

test("a window whose first block was lost is sent again once for all the repeated ACKs", () => {
  const window = onAck(going(beginTransfer(terms({ windowBlocks: 4 }), 9000, 0)), 4, 0);
  const again = onAck(going(window), 4, 0);
  assert.equal(said(again), "5-8");
  assert.equal(said(onAck(going(again), 4, 0)), "-");
});

test("an ACK of a block that was not sent, or of long ago, changes nothing", () => {
  const started = going(beginTransfer(terms({ windowBlocks: 4 }), 50_000, 0));
  assert.equal(said(onAck(started, 5, 0)), "-");
  const later = going(onAck(started, 4, 0));
  assert.equal(said(onAck(later, 2, 0)), "-");
});

test("block numbers wrap, and a file of more than 65,535 blocks arrives", () => {
  let step = beginTransfer(terms({ windowBlocks: 64 }), 512 * 150_000, 0);
  let blocks = 0;
  while (step.kind === "go-on" && step.send?.kind === "blocks") {
    blocks += step.send.to - step.send.from + 1;
    step = onAck(step.transfer, step.send.to & 0xffff, 0);
  }
  assert.deepEqual([said(step), blocks], ["done", 150_001]);
});

test("silence is answered by sending again, ever more patiently, and ends the transfer after six times", () => {
  let step = beginTransfer(terms({ windowBlocks: 2 }), 5000, 0);
  const at: number[] = [];
  while (step.kind === "go-on") {
    const { deadlineMs } = step.transfer;
    assert.equal(said(onTime(step.transfer, deadlineMs - 1)), "-");
    at.push(deadlineMs);
    step = onTime(step.transfer, deadlineMs);
    if (step.kind === "go-on") assert.equal(said(step), "1-2");
  }
  assert.deepEqual([said(step), at.length - 1], ["timeout", retriesMax]);
  assert.deepEqual(at.slice(0, 4), [1000, 3000, 7000, 11_000]);
});

test("with any loss on the way, every block arrives in order", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 9 })),
      (windowBlocks, luck) => {
        const lost = () => (luck.next().value as number) < 2;
        let step = beginTransfer(terms({ windowBlocks, blockBytes: 8 }), 300, 0);
        let has = 0;
        for (let turn = 0; step.kind === "go-on" && turn < 2000; turn++) {
          const { send, transfer } = step;
          let acked: number | undefined;
          if (send?.kind === "blocks") {
            for (let block = send.from; block <= send.to; block++) {
              if (lost()) continue;
              if (block === has + 1) has = block;
              acked = has;
            }
          }
          // Never more than what the window allows beyond what was acknowledged.
          assert.equal(transfer.sent - transfer.acked <= windowBlocks, true);
          step =
            acked === undefined || lost()
              ? onTime({ ...transfer, retries: 0 }, transfer.deadlineMs)
              : onAck(transfer, acked & 0xffff, transfer.deadlineMs - 1);
        }
        assert.deepEqual([said(step), has], ["done", 38]);
      },
    ),
    { seed: 5, numRuns: 300 },
  );
});
