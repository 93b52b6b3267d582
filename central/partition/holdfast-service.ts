// holdfast.api.v1.PartitionService: what an agent holds back after this central was restored, and the word that lets it go on.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { AcceptedHistorySchema } from "#gen/holdfast/state/v1/history_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { usable } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { kinds } from "../store/kinds.ts";

type Histories = Pick<ServiceImpl<typeof PartitionService>, "getHistory" | "acceptHistory">;

export function holdfastPartitionService({ state, clock }: ServicePorts): Histories {
  return {
    getHistory({ id }) {
      if (!state.get(kinds.partition, id))
        throw new Refusal("not-found", `partition ${id} does not exist`, { field: "id" });
      const hold = state.get(kinds.historyHold, id)?.value;
      const accepted = state.get(kinds.acceptedHistory, id)?.value;
      const contradictions = state.get(kinds.ledgerContradictions, id)?.value;
      return {
        history: state.history,
        ...(hold && { hold }),
        ...(accepted && { accepted }),
        ...(contradictions && { contradictions }),
      };
    },

    async acceptHistory({ id, history }, context) {
      const { user } = callerOf(context);
      if (history !== state.history) {
        const text = `history ${history} is not that of this central, which is ${state.history}`;
        throw new Refusal("precondition", text, { field: "history", reason: "OTHER_HISTORY" });
      }
      const accepted = create(AcceptedHistorySchema, { history, user, at: timestampFromMs(clock.wallMs()) });
      await state.transact((tx) => {
        usable(tx, kinds.partition, id, "partition");
        tx.put(kinds.acceptedHistory, id, accepted);
      });
      return { accepted };
    },
  };
}
