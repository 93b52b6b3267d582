import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { lostRecord } from "./lost-record.ts";

const wanted = (epoch: bigint, project?: string) =>
  create(MachineDesiredSchema, { epoch, ...(project && { allocation: { project } }) });
const seen = (init: MessageInitShape<typeof MachineObservedSchema>) =>
  create(MachineObservedSchema, { boot: "b", ...init });

test("a machine that is known to both sides has lost nothing, whether it is free, in use or about to be", () => {
  assert.equal(lostRecord(wanted(5n), seen({})), undefined);
  assert.equal(lostRecord(wanted(5n, "a"), seen({ workedEpoch: 5n, installedEpoch: 5n })), undefined);
  assert.equal(lostRecord(wanted(5n, "a"), seen({ isolatedEpoch: 4n, reclaimedEpoch: 4n })), undefined);
  assert.equal(lostRecord(wanted(6n), seen({ workedEpoch: 5n })), undefined);
});

test("one that works for somebody of whom nothing, or something older, is known waits for somebody to look", () => {
  assert.match(lostRecord(undefined, seen({ workedEpoch: 5n })) ?? "", /works for epoch 5, of which nothing is known/);
  assert.match(lostRecord(wanted(4n), seen({ workedEpoch: 5n })) ?? "", /works for epoch 5, but central is at 4/);
});

test("one that its tenant had given back is not installed again for them because a restored central forgot that", () => {
  const isolated = seen({ isolatedEpoch: 6n, reclaimedEpoch: 6n });
  assert.match(
    lostRecord(wanted(5n, "a"), isolated) ?? "",
    /was at epoch 6 already, but central has it allocated under 5/,
  );
  assert.equal(lostRecord(wanted(5n), isolated), undefined, "free by both");
});

test("one that is allocated and was never seen here is left alone", () => {
  assert.match(lostRecord(wanted(5n, "a"), undefined) ?? "", /no record of it/);
});
