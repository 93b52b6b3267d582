import type { MessageInitShape } from "@bufbuild/protobuf";
import { type HealthStatusSchema, Service, ServiceStatus } from "#gen/metalstack/api/v2/health_pb.ts";
import type { State } from "../store/state.ts";
import { deletionTasks } from "./deletion.ts";

/** Whether something is left half done. Public, so it tells numbers only. @param nowMs Unix time */
export function tasksHealth(state: State, nowMs: number): MessageInitShape<typeof HealthStatusSchema> {
  const orphaned = deletionTasks(state, nowMs).filter((task) => task.isOrphaned).length;
  return {
    name: Service.TASKS,
    status: orphaned === 0 ? ServiceStatus.HEALTHY : ServiceStatus.DEGRADED,
    message: orphaned === 0 ? "" : `${orphaned} deletions were broken off: TaskService.List names them`,
  };
}
