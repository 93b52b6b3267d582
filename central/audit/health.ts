import type { MessageInitShape } from "@bufbuild/protobuf";
import { type HealthStatusSchema, Service, ServiceStatus } from "#gen/metalstack/api/v2/health_pb.ts";
import type { Recorder } from "./recorder.ts";

/** Whether calls are written down. Public, so it tells numbers only. */
export function auditHealth({ standing }: Pick<Recorder, "standing">): MessageInitShape<typeof HealthStatusSchema> {
  const { waiting, isHeldUp, lostInAll } = standing;
  const problems = [
    ...(isHeldUp ? [`${waiting} traces wait for the store`] : []),
    ...(lostInAll > 0 ? [`${lostInAll} traces were lost since this server started`] : []),
  ];
  return {
    name: Service.AUDIT,
    status: isHeldUp ? ServiceStatus.DEGRADED : ServiceStatus.HEALTHY,
    message: problems.join("; "),
  };
}
