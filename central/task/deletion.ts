// Things that are being deleted carry the id of the task that does it. A deletion is one call; a mark that outlives it is of a central
// that died in between, or could not reach its store, and keeps the thing from being used until somebody deletes the task or the thing.
import { clone, create, type Message } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { touched } from "#domain/meta.ts";
import { type TaskInfo, TaskInfoSchema, TaskState } from "#gen/metalstack/admin/v2/task_pb.ts";
import type { Meta } from "#gen/metalstack/api/v2/common_pb.ts";
import { type Kind, kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";

/** Name of the queue of what central does by itself. No partition has it. */
export const centralQueue = "central:deletions";

/** No deletion takes as long. */
const deletionMs = 60_000;

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
    const marked = state.index<Kind>(kind, "being-deleted", (thing) =>
      metaOf(thing)?.deletionTaskId === undefined ? undefined : "yes",
    );
    return state.by(marked, "yes").map(({ id, value }) => taskOf(kind, id, metaOf(value), nowMs));
  });
}

const metaOf = (thing: Message): Meta | undefined => (thing as Message & { readonly meta?: Meta }).meta;

function taskOf(kind: Kind, id: string, meta: Meta | undefined, nowMs: number): TaskInfo {
  const isOrphaned = meta?.updatedAt !== undefined && timestampMs(meta.updatedAt) < nowMs - deletionMs;
  return create(TaskInfoSchema, {
    id: deletionTaskId(kind, id),
    queue: centralQueue,
    type: `${kind.name}:delete`,
    payload: new TextEncoder().encode(JSON.stringify({ id })),
    state: isOrphaned ? TaskState.ARCHIVED : TaskState.ACTIVE,
    isOrphaned,
    lastError: isOrphaned ? "whoever deleted it is gone: delete it again, or this task, and it can be used again" : "",
  });
}

/** Lets the thing be used again. */
export function endDeletion(tx: Tx, taskId: string, nowMs: number): void {
  for (const kind of deletable) {
    const id = taskId.slice(deletionTaskId(kind, "").length);
    const thing = taskId === deletionTaskId(kind, id) ? tx.get<Kind>(kind, id) : undefined;
    if (thing === undefined || metaOf(thing)?.deletionTaskId !== taskId) continue;
    const draft = clone(kind.schema, thing) as Message & { meta?: Meta };
    draft.meta = touched(draft.meta, nowMs);
    delete draft.meta.deletionTaskId;
    tx.put<Kind>(kind, id, draft);
  }
}
