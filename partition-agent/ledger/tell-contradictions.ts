import { create, toBinary } from "@bufbuild/protobuf";
import { LedgerContradictionsSchema } from "#gen/holdfast/state/v1/ledger_pb.ts";
import type { Site } from "../boot/site.ts";

/**
 * Tells central where it has said something else under a revision than before, also when that is nowhere any more. Nothing when it never
 * was: then central has nothing to forget. Resolves when it is durable.
 */
export async function tellContradictions({ partition, ledger, outbox, clock }: Site): Promise<void> {
  if (!ledger.contradictions) return;
  const { items, total } = ledger.contradictions;
  const value = toBinary(LedgerContradictionsSchema, create(LedgerContradictionsSchema, { partition, items, total }));
  await outbox.put({ kind: "ledger-contradictions", id: partition, value, seenMs: clock.wallMs() });
}
