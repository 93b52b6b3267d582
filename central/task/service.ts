// metalstack.admin.v2.TaskService: what central and the partitions' agents are about to do, do, and have done, as tasks.
import { withdraw } from "#domain/machine/bmc-order.ts";
import { machineOfTask, machineTasks, orderTaskId, pastRelease } from "#domain/task/machine-tasks.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type TaskInfo, TaskService, TaskState } from "#gen/metalstack/admin/v2/task_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { unknown } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { causeOf } from "../history/cause.ts";
import { viewOf, viewsOf, viewsOfPartition } from "../machine/views.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { centralQueue, deletionTasks, endDeletion } from "./deletion.ts";

const pageSize = 100;
const pageSizeMax = 1000;

export function taskService(ports: ServicePorts): Implementation {
  const { state, clock } = ports;
  const deletions = () => deletionTasks(state, clock.wallMs());
  const found = (id: string, queue: string): TaskInfo => {
    const task = machineTask(state, id) ?? deletions().find((t) => t.id === id);
    if (task && (queue === "" || task.queue === queue)) return task;
    return unknown("task", queue === "" ? id : `${id} of queue ${queue}`);
  };

  return implement(TaskService, {
    get: ({ taskId, queue }) => ({ task: found(taskId, queue) }),

    queues: () => ({ queues: [centralQueue, ...state.list(kinds.partition).map((p) => p.id)] }),

    list({ queue, count = pageSize, page = 0 }) {
      if (count < 1 || count > pageSizeMax) {
        throw new Refusal("invalid", `count ${count}: 1 to ${pageSizeMax} are wanted`, { field: "count" });
      }
      const tasks = tasksOf(state, queue, deletions).sort((a, b) => (a.id < b.id ? -1 : 1));
      return { tasks: tasks.slice(page * count, (page + 1) * count) };
    },

    async delete({ taskId, queue }, context) {
      const task = found(taskId, queue);
      const uuid = machineOfTask(taskId);
      if (task.state === TaskState.ACTIVE) {
        throw new Refusal("precondition", `task ${taskId} is being worked on`, { reason: "ACTIVE" });
      }
      if (uuid === undefined) {
        await state.transact((tx) => endDeletion(tx, taskId, clock.wallMs()), causeOf(context));
        return {};
      }
      if (task.type === "machine:delete") {
        const text = `task ${taskId}: the machine's release cannot be taken back, and nothing is kept of it that could be forgotten`;
        throw new Refusal("precondition", text, { reason: "NOT_KEPT" });
      }
      const { user } = callerOf(context);
      await state.transact((tx) => {
        const desired = tx.get(kinds.machineDesired, uuid) ?? unknown("task", taskId);
        const outcomes = (tx.get(kinds.machineObserved, uuid)?.outcomes ?? []).map((o) => o.id);
        tx.put(kinds.machineDesired, uuid, forgetting(desired, taskId, { user, outcomes, nowMs: clock.wallMs() }));
      }, causeOf(context));
      return {};
    },
  });
}

function machineTask(state: State, id: string): TaskInfo | undefined {
  const uuid = machineOfTask(id);
  const view = uuid === undefined ? undefined : viewOf(state, uuid);
  return view && (machineTasks(view).find((t) => t.id === id) ?? pastRelease(view, id));
}

function tasksOf(state: State, queue: string | undefined, deletions: () => TaskInfo[]): TaskInfo[] {
  if (queue === undefined) return [...deletions(), ...viewsOf(state).flatMap(machineTasks)];
  if (queue === centralQueue) return deletions();
  if (!state.get(kinds.partition, queue)) unknown("queue", queue);
  return viewsOfPartition(state, queue).flatMap(machineTasks);
}

/** An order that has not begun is taken back, and stays to be read as that; the end of one is not told any more. */
function forgetting(
  desired: MachineDesired,
  taskId: string,
  { user, outcomes, nowMs }: { readonly user: string; readonly outcomes: readonly string[]; readonly nowMs: number },
): MachineDesired {
  const isMeant = ({ id }: { readonly id: string }) => orderTaskId(desired.uuid, id) === taskId;
  const next = copyOf(desired);
  if (desired.orders.some(isMeant)) {
    withdraw(next, (order) => (isMeant(order) ? `${user} deleted its task` : undefined), nowMs);
    return next;
  }
  next.withdrawn = desired.withdrawn.filter((o) => !isMeant(o));
  next.forgotten = outcomes.filter((id) => desired.forgotten.includes(id) || isMeant({ id }));
  return next;
}
