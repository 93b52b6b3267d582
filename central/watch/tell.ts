import { create } from "@bufbuild/protobuf";
import type { Thing } from "#gen/holdfast/api/v1/thing_pb.ts";
import { type WatchServiceWatchResponse, WatchServiceWatchResponseSchema } from "#gen/holdfast/api/v1/watch_pb.ts";
import type { Named } from "./waiting.ts";

/** Revisions at which things were shown last, by key: what the reader holds. */
export type Shown = Map<string, bigint>;

/** Revision of what the reader holds in some form that is not known any more. */
export const shownBefore = -1n;

/**
 * What the reader has to be told of a thing, which `shown` then says.
 * @param thing as it is now; undefined when it is not there or not for the reader
 * @returns undefined when the reader holds just that
 */
export function tell(shown: Shown, named: Named, thing: Thing | undefined): WatchServiceWatchResponse | undefined {
  const { key, kind, id, revision } = named;
  const before = shown.get(key);
  if (thing !== undefined) {
    if (before === thing.revision) return undefined;
    shown.set(key, thing.revision);
    return create(WatchServiceWatchResponseSchema, { event: { case: "put", value: thing } });
  }
  if (before === undefined) return undefined;
  shown.delete(key);
  return create(WatchServiceWatchResponseSchema, {
    event: { case: "deleted", value: { kind: kind.name, id, revision } },
  });
}

export const bookmark = (history: string, revision: bigint): WatchServiceWatchResponse =>
  create(WatchServiceWatchResponseSchema, { event: { case: "bookmark", value: { history, revision } } });
