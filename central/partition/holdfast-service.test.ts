import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { HistoryHoldSchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { ReportEntrySchema, ReportRequestSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { kinds } from "../store/kinds.ts";
import { takeReport } from "../sync/report.ts";
import { type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";

let central: MachineCentral;
before(async () => {
  central = await machineCentral();
});
after(() => central.close());

const partitions = () => central.client(PartitionService);
let sequence = 0n;
const report = (history: string, hold?: Parameters<typeof create<typeof HistoryHoldSchema>>[1]) =>
  takeReport(
    central.state,
    central.clock,
    create(ReportRequestSchema, {
      partition: "lab",
      agent: "a",
      outbox: "told",
      history,
      entries: hold
        ? [
            create(ReportEntrySchema, {
              sequence: ++sequence,
              kind: "history-hold",
              id: "lab",
              value: toBinary(HistoryHoldSchema, create(HistoryHoldSchema, hold)),
            }),
          ]
        : [],
    }),
  );

test("what an agent holds is shown, and no more once it holds nothing", async () => {
  const { state } = central;
  await report("", { partition: "lab", inForce: "h0", held: state.history, revision: 3n, machinesTotal: 1 });
  const told = await partitions().getHistory({ id: "lab" });
  assert.deepEqual([told.history, told.hold?.inForce, told.hold?.held], [state.history, "h0", state.history]);
  await report("", { partition: "lab" });
  assert.equal((await partitions().getHistory({ id: "lab" })).hold, undefined);
});

test("only the present history of this central can be accepted, by name, and the agent's partition gets that word", async () => {
  await assert.rejects(
    partitions().acceptHistory({ id: "lab", history: "h9" }),
    /history h9 is not that of this central/,
  );
  await assert.rejects(partitions().getHistory({ id: "none" }), /partition none does not exist/);
  const { history } = central.state;
  const { accepted } = await partitions().acceptHistory({ id: "lab", history });
  assert.equal(accepted?.history, history);
  assert.equal(central.state.get(kinds.acceptedHistory, "lab")?.value.history, history);
});

test("a restored central allocates nothing in a partition whose agent has not reported everything again", async () => {
  await central.waiting(1);
  const uuid = machineUuid(1);
  await report("the history before the restore");
  await assert.rejects(
    central.create(),
    /partition lab: the store was restored, and the agent has not yet reported everything again/,
  );
  await report("");
  await assert.rejects(
    central.create(),
    /partition lab: the store was restored, and the agent has not yet reported everything again/,
  );
  await report(central.state.history);
  const { machine } = await central.create();
  assert.equal(machine?.uuid, uuid);
});
