// What agents report becomes central's observed state; what was taken before is not taken again.
// A transaction takes as much as the store takes at once: whatever is in a report, it never stops those behind it.
import { create } from "@bufbuild/protobuf";
import { ReportCursorSchema } from "#gen/holdfast/state/v1/cursor_pb.ts";
import {
  type RejectedEntry,
  RejectedEntrySchema,
  type ReportEntry,
  type ReportRequest,
  SyncService,
} from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { Refusal } from "#lib/refusal.ts";
import { methodName } from "../access/rule.ts";
import { usable } from "../catalog/catalog.ts";
import { agentOf, type Cause } from "../history/cause.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import { checkLife } from "./claim-life.ts";
import { livesProtocol } from "./set-back.ts";
import { settleMore } from "./settle.ts";
import { takeEntry, takers } from "./take-entry.ts";
import type { Taker, Takers } from "./took.ts";

/** Entries that one transaction takes. */
const groupMax = 32;
/** Reasons that lie in single entries and will be the same tomorrow; the others go on without those. */
const lasting: readonly (string | undefined)[] = ["STORE_LIMIT", "STORED_VALUE_UNREADABLE"];

export interface Taken {
  readonly acknowledged: bigint;
  readonly rejected: RejectedEntry[];
  readonly turn: bigint;
}

interface Source {
  /** As the report says: everything is told to a central of this history with it. */
  readonly history: string;
  readonly state: State;
  readonly clock: Clock;
  readonly partition: string;
  readonly outbox: string;
  /** That reports. */
  readonly life: string;
  /** The same, as it is noted; empty when it keeps no record of its lives. */
  readonly agent: string;
  readonly cause: Cause;
  readonly known: Takers;
}

/**
 * @param known who takes which kind
 * @returns what is durable now, and what is not taken
 * @throws Refusal "not-found" or "precondition" when the partition is not there or about to go, or another life of the agent
 * is connected: the agent keeps its entries
 */
export async function takeReport(
  state: State,
  clock: Clock,
  request: ReportRequest,
  known: Takers = takers,
): Promise<Taken> {
  const { partition, outbox, history, protocol } = request;
  const agent = protocol >= livesProtocol ? request.agent : "";
  const cause: Cause = { actor: agentOf(partition), method: methodName(SyncService.method.report), reason: "" };
  checkLife({ get: (kind, id) => state.get(kind, id)?.value }, partition, request.agent);
  const cursor = state.get(kinds.reportCursor, partition)?.value;
  // Most reports say that the agent lives, and nothing else: they cost no transaction.
  if (request.entries.length === 0 && cursor?.outbox === outbox && (history === "" || cursor.history === history))
    return { acknowledged: cursor.sequence, rejected: [], turn: cursor.turn };
  const entries = [...request.entries].sort((a, b) => (a.sequence < b.sequence ? -1 : a.sequence > b.sequence ? 1 : 0));
  const rejected: RejectedEntry[] = [];
  let [acknowledged, turn] = [0n, 0n];
  for (let i = 0; i === 0 || i < entries.length; i += groupMax) {
    const isLast = i + groupMax >= entries.length;
    const source: Source = {
      state,
      clock,
      cause,
      known,
      partition,
      outbox,
      life: request.agent,
      agent,
      history: isLast ? history : "",
    };
    const taken = await takeGroup(source, entries.slice(i, i + groupMax));
    ({ acknowledged, turn } = taken);
    rejected.push(...taken.rejected);
  }
  return { acknowledged, rejected, turn };
}

async function takeGroup(source: Source, entries: readonly ReportEntry[]): Promise<Taken> {
  const take: Taker = (tx, entry, from) => takeEntry(source.known, tx, entry, from);
  try {
    const { result } = await source.state.transact((tx) => takeEntries(tx, source, entries, take), source.cause);
    for (const uuid of result.unsettled) await settleMore(source.state, uuid, source.cause);
    return result;
  } catch (error) {
    if (!(error instanceof Refusal) || !lasting.includes(error.reason)) throw error;
    const [only] = entries;
    if (only === undefined) throw error;
    if (entries.length === 1) return reject(source, only, error.message);
    const half = Math.ceil(entries.length / 2);
    const first = await takeGroup({ ...source, history: "" }, entries.slice(0, half));
    const second = await takeGroup(source, entries.slice(half));
    return { ...second, rejected: [...first.rejected, ...second.rejected] };
  }
}

async function reject(source: Source, entry: ReportEntry, reason: string): Promise<Taken> {
  const { result } = await source.state.transact((tx) =>
    takeEntries(tx, source, [entry], () => ({ rejected: reason })),
  );
  return result;
}

/** @param entries in order of their sequence */
function takeEntries(
  tx: Tx,
  { state, clock, partition, outbox, life, agent, history: told }: Source,
  entries: readonly ReportEntry[],
  take: Taker,
): Taken & { readonly unsettled: readonly string[] } {
  usable(tx, kinds.partition, partition, "partition");
  // Another life that has been let in meanwhile was given all that was stored by then: what came later it would not know.
  checkLife(tx, partition, life);
  const cursor = tx.get(kinds.reportCursor, partition);
  const own = cursor?.outbox === outbox ? cursor : undefined;
  const before = own?.sequence ?? 0n;
  const rejected: RejectedEntry[] = [];
  const unsettled = new Set<string>();
  const fresh = entries.filter((entry) => entry.sequence > before);
  const from = { partition, nowMs: clock.wallMs(), byMachine: ipIndexes(state).byMachine };
  for (const entry of fresh) {
    const took = take(tx, entry, from);
    if (took.rejected !== undefined) {
      const unknownKind = took.isUnknownKind === true;
      rejected.push(create(RejectedEntrySchema, { sequence: entry.sequence, reason: took.rejected, unknownKind }));
    }
    if (took.isUnsettled) unsettled.add(entry.id);
  }
  const acknowledged = fresh.at(-1)?.sequence ?? before;
  // Entries that come under no history leave open whether all was told; what was told before stays told.
  const history = told === "" ? (cursor?.history ?? "") : told;
  const turn = own?.turn ?? (cursor ? cursor.turn + 1n : 0n);
  if (fresh.length > 0 || history !== own?.history) {
    const teller = fresh.length > 0 ? agent : (own?.agent ?? "");
    const next = { outbox, sequence: acknowledged, history, turn, agent: teller };
    tx.put(kinds.reportCursor, partition, create(ReportCursorSchema, next));
  }
  return { acknowledged, rejected, turn, unsettled: [...unsettled] };
}
