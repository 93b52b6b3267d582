// Things that are being deleted carry the id of the task that does it. A deletion is one call; a mark that outlives it is of a central
// that died in between, or could not reach its store. It keeps the thing from being used until some central takes it away, or somebody
// deletes the task or the thing.
import { create, type Message } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { touched } from "#domain/meta.ts";
import { type TaskInfo, TaskInfoSchema, TaskState } from "#gen/metalstack/admin/v2/task_pb.ts";
import type { Meta } from "#gen/metalstack/api/v2/common_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { copyOf } from "#lib/message.ts";
import { byCentral } from "../history/cause.ts";
import { type Kind, kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

/** Name of the queue of what central does by itself. No partition has it. */
export const centralQueue = "central:deletions";

/** No deletion takes as long. */
const deletionMs = 60_000;
/** How often it is looked for deletions that were broken off. */
const lookMs = 60_000;

/** Kinds whose things are deleted in two steps. */
const deletable: readonly Kind[] = [
  kinds.tenant,
  kinds.project,
  kinds.partition,
  kinds.size,
  kinds.sizeImageConstraint,
  kinds.sizeReservation,
  kinds.image,
  kinds.filesystemLayout,
  kinds.network,
  kinds.ip,
];

export const deletionTaskId = (kind: Kind, id: string): string => `${kind.name}:delete:${id}`;

/** @param nowMs Unix time */
export function deletionTasks(state: State, nowMs: number): TaskInfo[] {
  return deletable.flatMap((kind) => {
    const marked = state.index(kind as Kind, "being-deleted", (thing) =>
      metaOf(thing)?.deletionTaskId === undefined ? undefined : "yes",
    );
    return state.by(marked, "yes").map(({ id, value }) => taskOf(kind, id, metaOf(value), nowMs));
  });
}

const metaOf = (thing: Message): Meta | undefined => (thing as Message & { readonly meta?: Meta }).meta;

/** A central whose clock is wrong may think so of a deletion that goes on: that one then ends with a conflict. */
const isBrokenOff = (meta: Meta | undefined, nowMs: number): boolean =>
  meta?.updatedAt !== undefined && timestampMs(meta.updatedAt) < nowMs - deletionMs;

function taskOf(kind: Kind, id: string, meta: Meta | undefined, nowMs: number): TaskInfo {
  const isOrphaned = isBrokenOff(meta, nowMs);
  return create(TaskInfoSchema, {
    id: deletionTaskId(kind, id),
    queue: centralQueue,
    type: `${kind.name}:delete`,
    payload: new TextEncoder().encode(JSON.stringify({ id })),
    state: isOrphaned ? TaskState.ARCHIVED : TaskState.ACTIVE,
    isOrphaned,
    lastError: isOrphaned
      ? "whoever deleted it is gone: in a minute, or when this task is deleted, it can be used again"
      : "",
  });
}

/** Lets the things be used again whose deletion was broken off, until the signal. */
export async function endBrokenOff(
  { state, clock, log }: { readonly state: State; readonly clock: Clock; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(lookMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    for (const { id, isOrphaned } of deletionTasks(state, clock.wallMs())) {
      if (!isOrphaned) continue;
      try {
        await state.transact((tx) => endDeletion(tx, id, clock.wallMs()), byCentral("its deletion was broken off"));
        log.warn("deletion-broken-off", { task: id });
      } catch (error) {
        log.warn("deletion-not-ended", { task: id, error });
      }
    }
  }
}

/** Lets the thing be used again, unless somebody deletes it anew. */
export function endDeletion(tx: Tx, taskId: string, nowMs: number): void {
  for (const kind of deletable) {
    const id = taskId.slice(deletionTaskId(kind, "").length);
    const thing = taskId === deletionTaskId(kind, id) ? tx.get<Kind>(kind, id) : undefined;
    if (thing === undefined || metaOf(thing)?.deletionTaskId !== taskId) continue;
    if (!isBrokenOff(metaOf(thing), nowMs)) continue;
    const draft = copyOf(thing) as Message & { meta?: Meta };
    draft.meta = touched(draft.meta, nowMs);
    delete draft.meta.deletionTaskId;
    tx.put<Kind>(kind, id, draft);
  }
}
