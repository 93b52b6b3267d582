// What the agent of a partition with budgets reports, without an agent.
import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { BudgetUseSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { MachineCentral } from "../../testing/machines.ts";

export function reportsTo(central: MachineCentral) {
  let sequence = 1_000n;
  /** @returns why it was rejected */
  const report = async <S extends DescMessage>(kind: string, id: string, schema: S, value: MessageShape<S>) => {
    const entries = [{ sequence: ++sequence, kind, id, value: toBinary(schema, value) }];
    const sync = central.client(SyncService, central.agentToken);
    return (await sync.report({ partition: "lab", outbox: "test", entries })).rejected.map((r) => r.reason);
  };
  return {
    report,
    says: (id: string, generation: bigint, used: object = {}) =>
      report("budget-use", id, BudgetUseSchema, create(BudgetUseSchema, { budget: id, generation, used })),
  };
}
