import type { MessageInitShape } from "@bufbuild/protobuf";
import { type HealthStatusSchema, Service, ServiceStatus } from "#gen/metalstack/api/v2/health_pb.ts";
import type { State } from "./state.ts";

/** Whether the store can be reached, and everything in it be read. Public, so it tells numbers only of what is stored. */
export function storeHealth({
  away,
  unreadable,
}: Pick<State, "away" | "unreadable">): MessageInitShape<typeof HealthStatusSchema> {
  const name = Service.RETHINK; // the contract's word for the store, whichever it is
  if (away !== undefined) {
    const message = "the store is away: what was known is answered, nothing can be changed";
    return { name, status: ServiceStatus.UNHEALTHY, message };
  }
  if (unreadable.length > 0) {
    const message = `${unreadable.length} stored values cannot be read by this version, and are left alone`;
    return { name, status: ServiceStatus.DEGRADED, message };
  }
  return { name, status: ServiceStatus.HEALTHY, message: "" };
}
