import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { HistoryHoldSchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { LedgerContradictionsSchema } from "#gen/holdfast/state/v1/ledger_pb.ts";
import { ReportRequestSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { kinds } from "../store/kinds.ts";
import { machinesHealth } from "../sync/health.ts";
import { takeReport } from "../sync/report.ts";
import { type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";

let central: MachineCentral;
before(async () => {
  central = await machineCentral();
});
after(() => central.close());

const partitions = () => central.client(PartitionService);
let sequence = 0n;
const send = (history: string, entries: { readonly kind: string; readonly value: Uint8Array<ArrayBuffer> }[]) =>
  takeReport(
    central.state,
    central.clock,
    create(ReportRequestSchema, {
      partition: "lab",
      agent: "test",
      outbox: "told",
      history,
      entries: entries.map((entry) => ({ sequence: ++sequence, id: "lab", ...entry })),
    }),
  );
const report = (history: string, hold?: MessageInitShape<typeof HistoryHoldSchema>) => {
  const told = hold && { kind: "history-hold", value: toBinary(HistoryHoldSchema, create(HistoryHoldSchema, hold)) };
  return send(history, told ? [told] : []);
};

test("what an agent holds is shown, and no more once it holds nothing", async () => {
  const { state } = central;
  await report("", { partition: "lab", inForce: "h0", held: state.history, revision: 3n, machinesTotal: 1 });
  const told = await partitions().getHistory({ id: "lab" });
  assert.deepEqual([told.history, told.hold?.inForce, told.hold?.held], [state.history, "h0", state.history]);
  await report("", { partition: "lab" });
  assert.equal((await partitions().getHistory({ id: "lab" })).hold, undefined);
});

test("where an agent was told something else under a revision than before is shown, in its health, too, until it is healed", async () => {
  const tell = (told: MessageInitShape<typeof LedgerContradictionsSchema>) =>
    send("", [
      {
        kind: "ledger-contradictions",
        value: toBinary(LedgerContradictionsSchema, create(LedgerContradictionsSchema, { partition: "lab", ...told })),
      },
    ]);
  const shown = async () => (await partitions().getHistory({ id: "lab" })).contradictions;
  const health = () => machinesHealth(central.state, { isUp: () => true, hasClone: () => false }).partitions?.lab;
  await tell({ total: 1, items: [{ kind: "size", id: "s", revision: 7n, kept: "0a", told: "0b" }] });
  const [item] = (await shown())?.items ?? [];
  assert.deepEqual([item?.kind, item?.id, item?.revision, item?.kept, item?.told], ["size", "s", 7n, "0a", "0b"]);
  assert.match(health()?.message ?? "", /something else under a revision than before, in 1 cases/);
  const { rejected } = await tell({ partition: "far", total: 9 });
  assert.match(rejected[0]?.reason ?? "", /cannot be read/);
  await tell({});
  assert.deepEqual([await shown(), health()?.message], [undefined, ""]);
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
