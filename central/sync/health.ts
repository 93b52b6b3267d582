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
  state: Pick<State, "away" | "get" | "list">,
  connections: Pick<Connections, "isUp" | "hasClone">,
): MessageInitShape<typeof HealthStatusSchema> {
  const problem = (id: string): string => {
    if (!connections.isUp(id)) return "its agent is not connected to this server";
    if (connections.hasClone(id)) return "a second agent tried to connect under its agent's identity";
    const told = state.get(kinds.ledgerContradictions, id)?.value;
    return told ? `its agent was told something else under a revision than before, in ${told.total} cases` : "";
  };
  const partitions = Object.fromEntries(state.list(kinds.partition).map(({ id }) => [id, healthOf(problem(id))]));
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

const healthOf = (message: string): MessageInitShape<typeof PartitionHealthSchema> => ({
  status: message === "" ? ServiceStatus.HEALTHY : ServiceStatus.DEGRADED,
  message,
});
