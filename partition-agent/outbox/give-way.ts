// What leaves a full outbox, so that what matters more has room. Pure.
import type { ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";

/** Kinds that may leave, the least missed first. All others stay whatever it costs: results of installers and phone-homes are among them. */
const givesWay: readonly string[] = ["audit"];

/**
 * The oldest of those that may leave, as many as it takes.
 * @param entries in any order
 * @param bytes that are to become free, by the entries' values
 */
export function leaving(entries: Iterable<ReportEntry>, bytes: number): readonly ReportEntry[] {
  if (bytes <= 0) return [];
  const candidates = [...entries]
    .filter(({ kind }) => givesWay.includes(kind))
    .sort((a, b) => givesWay.indexOf(a.kind) - givesWay.indexOf(b.kind) || (a.sequence < b.sequence ? -1 : 1));
  const gone: ReportEntry[] = [];
  let freed = 0;
  for (const entry of candidates) {
    if (freed >= bytes) break;
    gone.push(entry);
    freed += entry.value.length;
  }
  return gone;
}
