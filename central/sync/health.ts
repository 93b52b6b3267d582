import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type HealthStatusSchema,
  type PartitionHealthSchema,
  Service,
  ServiceStatus,
} from "#gen/metalstack/api/v2/health_pb.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Connections } from "./connections.ts";

/**
 * Whether machines can be asked for and reached. A partition whose agent is away goes on by itself, but hears nothing new.
 */
export function machinesHealth(
  state: Pick<State, "away" | "list">,
  connections: Pick<Connections, "isUp" | "hasClone">,
): MessageInitShape<typeof HealthStatusSchema> {
  const cut = (id: string): MessageInitShape<typeof PartitionHealthSchema> =>
    connections.isUp(id)
      ? connections.hasClone(id)
        ? { status: ServiceStatus.DEGRADED, message: "a second agent tried to connect under its agent's identity" }
        : { status: ServiceStatus.HEALTHY, message: "" }
      : { status: ServiceStatus.DEGRADED, message: "its agent is not connected to this server" };
  const partitions = Object.fromEntries(state.list(kinds.partition).map(({ id }) => [id, cut(id)]));
  const away = Object.keys(partitions).filter((id) => !connections.isUp(id));
  const problems = [
    ...(state.away === undefined ? [] : [`the store is away: ${state.away}`]),
    ...(away.length === 0 ? [] : [`${away.length} of ${Object.keys(partitions).length} partitions are cut off`]),
  ];
  return {
    name: Service.MACHINES,
    status: problems.length === 0 ? ServiceStatus.HEALTHY : ServiceStatus.DEGRADED,
    message: problems.join("; "),
    partitions,
  };
}
