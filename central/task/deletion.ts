// Things that are being deleted carry the id of the task that does it.
import { create } from "@bufbuild/protobuf";
import { type TaskInfo, TaskInfoSchema, TaskState } from "#gen/metalstack/admin/v2/task_pb.ts";
import type { Kind } from "../store/kinds.ts";

/** Name of the queue of what central does by itself. No partition has it. */
export const centralQueue = "central:deletions";

export const deletionTaskId = (kind: Kind, id: string): string => `${kind.name}:delete:${id}`;

export const deletionTask = (kind: Kind, id: string): TaskInfo =>
  create(TaskInfoSchema, {
    id: deletionTaskId(kind, id),
    queue: centralQueue,
    type: `${kind.name}:delete`,
    payload: new TextEncoder().encode(JSON.stringify({ id })),
    state: TaskState.ACTIVE,
  });
